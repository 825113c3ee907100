# Computes the numbers of headline.csv from the data sets (numbers.R), and stops with an error where one differs.
#
#   Rscript check.R [folder]
#
# It needs R and the package survival. Where cmprsk is installed, the variances of incidences are compared with it too.
#
# PARTICIPANTS in headline.csv says whom a number counts. `archive`: everybody in these sets. `enrolled`, in the archive
# of a site: those enrolled at the site, as its figures count them. Some of these may be followed at another site: then
# their records are not in the sets, and the script says which numbers it cannot check.

library(survival)
folder <- c(commandArgs(trailingOnly = TRUE), ".")[1]

read_table <- function(name, classes) {
  read.csv(file.path(folder, paste0(name, ".csv")), colClasses = classes, na.strings = "", encoding = "UTF-8")
}
dictionary <- read_table("dictionary", "character")
classes <- c(string = "character", integer = "integer", float = "numeric", date = "Date")
read_whole_set <- function(name) {
  columns <- dictionary[dictionary$SET == toupper(name), ]
  set <- read_table(name, unname(classes[columns$TYPE]))
  if (!identical(names(set), columns$COLUMN)) stop(name, ".csv does not have the columns of the dictionary")
  set
}
adcut <- read_whole_set("adcut")
screened <- read_whole_set("adscr")
headline <- read_table("headline", c("character", "character", "character", "numeric"))

# Returns the numbers of the participants that a part of headline.csv counts.
compute <- function(part) {
  counted <- if (part == "enrolled") screened$USUBJID[screened$SITEID == adcut$SITEID] else screened$USUBJID
  place <- new.env(parent = globalenv())
  place$expected <- headline[headline$PARTICIPANTS == part, ]
  place$read_set <- function(name) {
    set <- read_whole_set(name)
    set[set$USUBJID %in% counted, ]
  }
  sys.source(file.path(folder, "numbers.R"), place)
  unlist(as.list(place$computed))
}
# Stops where a number differs, is not computed, or is not in headline.csv; returns how many are equal.
compare <- function(part) {
  rows <- headline[headline$PARTICIPANTS == part, ]
  expected <- setNames(rows$VALUE, paste(rows$FIGURE, rows$NAME, sep = "/"))
  found <- compute(part)
  found <- found[sub("/.*", "", names(found)) %in% rows$FIGURE]
  missing <- setdiff(names(expected), names(found))
  if (length(missing)) stop("not computed: ", paste(missing, collapse = ", "))
  surplus <- setdiff(names(found), names(expected))
  if (length(surplus)) stop("not in headline.csv: ", paste(surplus, collapse = ", "))
  found <- found[names(expected)]
  tolerance <- 1e-9 * pmax(1, abs(expected))
  is_equal <- (is.na(expected) & is.na(found)) | (!is.na(expected) & !is.na(found) & abs(found - expected) <= tolerance)
  is_equal[is.na(is_equal)] <- FALSE
  if (!all(is_equal)) {
    differing <- names(expected)[!is_equal]
    lines <- sprintf("%s: headline %s, computed %s", differing, expected[differing], found[differing])
    stop(length(differing), " of ", length(expected), " numbers differ\n", paste(lines, collapse = "\n"))
  }
  length(expected)
}

parts <- unique(headline$PARTICIPANTS)
unknown <- if (adcut$ELSEWHN > 0) "enrolled"
equal <- vapply(setdiff(parts, unknown), compare, 0)
cat(sum(equal), "numbers of the figures are those of the data sets\n")
if (!is.null(unknown)) {
  rows <- headline[headline$PARTICIPANTS == unknown, ]
  cat(
    nrow(rows), " numbers of the figures of ", adcut$SITEID, " cannot be checked. They count ", adcut$ELSEWHN,
    " of its participants who are followed at another site, and whose records are not in these sets:\n", sep = ""
  )
  for (figure in unique(rows$FIGURE)) {
    shown <- rows[rows$FIGURE == figure & startsWith(rows$NAME, "page/"), ]
    cat("  ", figure, ": ", paste(sub("page/", "", shown$NAME), shown$VALUE, collapse = ", "), ", and ",
      sum(rows$FIGURE == figure) - nrow(shown), " more\n", sep = "")
  }
}
