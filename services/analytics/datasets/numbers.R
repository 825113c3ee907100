# Computes the numbers of the figures from the data sets. check.R reads this file, with
#   read_set(name): a data set, of the participants that are counted
#   expected: the rows of headline.csv with the numbers of these participants
#   adcut: the record of the data cut
# and takes the numbers from `computed`, by figure and name.

month <- 30.4375
landmarks <- c(6, 12, 24)
z <- 1.959963984540054
adsl <- read_set("adsl")
adtte <- read_set("adtte")

computed <- new.env()
put <- function(figure, ..., value) assign(paste(figure, ..., sep = "/"), as.numeric(value), envir = computed)
names_of <- function(figure) expected$NAME[expected$FIGURE == figure]
yes <- function(flags) sum(flags == "Y", na.rm = TRUE)
# The numbers that the page of a figure shows first.
put_page <- function(figure, ...) {
  numbers <- list(...)
  for (name in names(numbers)) put(figure, "page", name, value = numbers[[name]])
}
number_of <- function(figure, ...) computed[[paste(figure, ..., sep = "/")]]
sum_of <- function(figure, groups, ...) sum(vapply(groups, function(group) number_of(figure, group, ...), 0))
one_decimal <- function(number) if (is.na(number)) NA else as.numeric(sprintf("%.1f", number))

# --- survival -----------------------------------------------------------------------------------------------------

# Times of sets begin on day 1, those of figures on day 0.
survival_numbers <- function(figure, name, times) {
  median <- c(NA, NA, NA)
  marks <- matrix(NA, length(landmarks), 3)
  if (nrow(times) > 0) {
    fit <- survfit(Surv(AENTRY, AVAL, CNSR == 0) ~ 1, times, conf.type = "log-log")
    emptied <- which(fit$surv == 0)
    is_emptied <- length(emptied) > 0 && any(times$AENTRY >= fit$time[emptied[1]])
    if (!is_emptied) median <- unname(summary(fit)$table[c("median", "0.95LCL", "0.95UCL")]) - 1
    for (row in seq_along(landmarks)) marks[row, ] <- survival_at(fit, landmarks[row] * month + 1)
  }
  put(figure, name, "n", value = length(unique(times$USUBJID)))
  put(figure, name, "events", value = sum(times$CNSR == 0))
  put_interval(figure, name, "median", values = median)
  for (row in seq_along(landmarks)) put_interval(figure, name, "months", landmarks[row], values = marks[row, ])
}
survival_at <- function(fit, day) {
  if (day > max(fit$time) && min(fit$surv) > 0) return(c(NA, NA, NA))
  row <- findInterval(day, fit$time)
  is_before_first <- row == 0 || (row == 1 && fit$time[1] == 1 && fit$n.event[1] == 0)
  if (is_before_first) return(c(1, 1, 1))
  c(fit$surv[row], fit$lower[row], fit$upper[row])
}
put_interval <- function(..., values) {
  put(..., "estimate", value = values[1])
  put(..., "lower", value = values[2])
  put(..., "upper", value = values[3])
}
# The log-rank test; with delayed entries it is the score test of Cox's model with exact ties.
test_numbers <- function(figure, times) {
  if (!any(startsWith(names_of(figure), "test/"))) return(invisible())
  group <- adsl$SEX[match(times$USUBJID, adsl$USUBJID)]
  if (any(times$AENTRY > 0)) {
    model <- coxph(Surv(AENTRY, AVAL, CNSR == 0) ~ group, times, ties = "exact", iter.max = 0)
    statistic <- model$score
    degrees <- length(coef(model))
  } else {
    test <- survdiff(Surv(AVAL, CNSR == 0) ~ group, times)
    statistic <- test$chisq
    degrees <- sum(test$exp > 0) - 1
  }
  put(figure, "test", "sex", "statistic", value = statistic)
  put(figure, "test", "sex", "p", value = pchisq(statistic, degrees, lower.tail = FALSE))
}
of <- function(code) adtte[adtte$PARAMCD == code, ]

# `events`: the name of the number of events on the page.
survival_figure <- function(figure, code, events) {
  survival_numbers(figure, "all", of(code))
  readings <- c(
    presumed_censored = "PRES", undated_as_event = "UND", deaths_after_leaving = "LEFT", lost_censored = "LOST",
    without_registry_links = "REG"
  )
  for (reading in names(readings)) {
    is_shown <- any(startsWith(names_of(figure), paste0(reading, "/")))
    if (is_shown) survival_numbers(figure, reading, of(paste0(code, readings[[reading]])))
  }
  test_numbers(figure, of(code))
  put(figure, "page", events, value = number_of(figure, "all", "events"))
  if (nrow(of(code))) put_page(figure, median = one_decimal(number_of(figure, "all", "median", "estimate") / month))
}
survival_figure("overall-survival", "OS", "deaths")
survival_figure("progression-free-survival", "PFS", "events")
put_page("swimmer", participants = nrow(of("OS")), deaths = sum(of("OS")$CNSR == 0))

# --- hazard ratios ------------------------------------------------------------------------------------------------

subject <- function(set) match(set$USUBJID, adsl$USUBJID)
group_of <- list(
  sex = c(F = "female", M = "male", U = "unknown")[adsl$SEX],
  stage = ifelse(adsl$STAGE == "no_baseline", "not_reported", adsl$STAGE),
  performance = c("0-1", "0-1", "2", "3-4", "3-4", "not_reported")[adsl$ECOGBL + 1],
  age = ifelse(adsl$AGE < 65, "under_65", "from_65"),
  delivery = adsl$INDXDELV
)
group_of$performance[is.na(group_of$performance)] <- "not_reported"
# Until the index course starts, a participant has no delivery of it.
divided_times <- function(by) {
  times <- data.frame(of("OS")[c("USUBJID", "AENTRY", "AVAL", "CNSR")], GROUP = unname(group_of[[by]])[subject(of("OS"))])
  if (by != "delivery" || !nrow(times)) return(times)
  reached <- as.numeric(adsl$TRTSDT[subject(times)] - of("OS")$STARTDT)
  reached[is.na(reached)] <- Inf
  is_member <- reached <= pmax(times$AENTRY - 1, 0)
  is_split <- !is_member & reached < times$AVAL - 1
  later <- times[is_split, ]
  later$AENTRY <- reached[is_split] + 1
  times$GROUP[!is_member] <- "no_index_course"
  times$CNSR[is_split] <- 1
  times$AVAL[is_split] <- reached[is_split] + 1
  rbind(times, later)
}
# Cox's model by Efron of one group against another; NA where no estimate is finite.
hazard_ratio <- function(times, is_group) {
  is_event <- times$CNSR == 0
  undefined <- c(NA, NA, NA)
  if (!any(is_event) || !any(is_group)) return(undefined)
  at_risk <- lapply(times$AVAL[is_event], function(day) is_group[times$AENTRY < day & times$AVAL >= day])
  is_greatest <- all(is_group[is_event] == vapply(at_risk, any, TRUE))
  is_least <- all(is_group[is_event] == vapply(at_risk, all, TRUE))
  if (is_greatest || is_least) return(undefined)
  control <- coxph.control(eps = 1e-12, toler.chol = 1e-14, iter.max = 100)
  fit <- coxph(Surv(AENTRY, AVAL, CNSR == 0) ~ is_group, times, ties = "efron", control = control)
  exp(coef(fit) + c(0, -1, 1) * z * sqrt(vcov(fit)[1, 1]))
}
put("hazard-ratios", "n", value = nrow(of("OS")))
put_page("hazard-ratios", deaths = sum(of("OS")$CNSR == 0))
for (by in names(group_of)) {
  counts <- names_of("hazard-ratios")
  counts <- counts[startsWith(counts, paste0(by, "/")) & endsWith(counts, "/n")]
  groups <- sub("/n$", "", substring(counts, nchar(by) + 2))
  times <- divided_times(by)
  sizes <- vapply(groups, function(group) sum(times$GROUP %in% group), 0)
  reference <- sort(groups[sizes == max(sizes, 0)], method = "radix")[1]
  for (group in groups) {
    put("hazard-ratios", by, group, "n", value = sizes[[group]])
    put("hazard-ratios", by, group, "events", value = sum(times$CNSR[times$GROUP %in% group] == 0))
    compared <- times[times$GROUP %in% c(group, reference), ]
    ratio <- if (group == reference) c(NA, NA, NA) else hazard_ratio(compared, compared$GROUP == group)
    put_interval("hazard-ratios", by, group, "ratio", values = ratio)
  }
}

# --- participant flow ---------------------------------------------------------------------------------------------

half_up <- function(x) floor(x * 10 + 0.5) / 10
adscr <- read_set("adscr")
is_failed <- !is.na(adscr$SCRFDT)
put("flow", "screened", value = nrow(adscr))
put("flow", "screen_failed", value = sum(is_failed))
put("flow", "screen_failed_after_consent", value = sum(is_failed & !is.na(adscr$RFICDT)))
put("flow", "consented", value = sum(!is.na(adscr$RFICDT)))
put("flow", "enrolled", value = nrow(adsl))
put("flow", "treated", value = yes(adsl$SAFFL))
put("flow", "stereotactic", value = yes(adsl$SRTFL))
share <- c(NA, NA, NA)
if (nrow(adsl) > 0) {
  share <- 100 * c(yes(adsl$SRTFL) / nrow(adsl), binom.test(yes(adsl$SRTFL), nrow(adsl))$conf.int)
}
put("flow", "stereotactic_percent", value = half_up(share[1]))
put("flow", "stereotactic_interval", "lower", value = half_up(share[2]))
put("flow", "stereotactic_interval", "upper", value = half_up(share[3]))
for (status in c("died", "withdrawn", "lost", "completed", "in_follow_up", "awaiting_treatment")) {
  put("flow", status, value = sum(adsl$FLOWSTAT == status))
}

put_page(
  "flow", screened = nrow(adscr), enrolled = nrow(adsl), treated = yes(adsl$SAFFL), stereotactic = yes(adsl$SRTFL)
)
put_page("accrual", accrued = nrow(adsl))
# The target of accrual is for the whole study.
first_enrollment <- if (nrow(adsl)) min(adsl$ENRLDT)
if (is.na(adcut$SITEID) && !is.na(adcut$TARGETDT) && nrow(adsl) && first_enrollment < adcut$TARGETDT) {
  share <- as.numeric(adcut$CUTDT - first_enrollment) / as.numeric(adcut$TARGETDT - first_enrollment)
  put_page("accrual", planned = min(adcut$TARGETN, max(0, floor(adcut$TARGETN * share + 0.5 + 1e-9))))
}

living <- adsl[adsl$DTHFL == "N", ]
current <- sum(living$LSTALVDT >= adcut$RECENTDT, na.rm = TRUE)
put("follow-up", "currency", "living", value = nrow(living))
put("follow-up", "currency", "current", value = current)
survival_numbers("follow-up", "all", of("FUP"))
if (nrow(of("FUP"))) {
  put_page("follow-up", median = one_decimal(number_of("follow-up", "all", "median", "estimate") / month))
}
if (nrow(living)) put_page("follow-up", current = current)
# Clark's C: observed days of possible ones.
completeness <- NA
if (nrow(of("OS"))) {
  os <- of("OS")
  person <- adsl[subject(os), ]
  observed <- os$AVAL - 1
  possible <- pmax(as.numeric(pmin(adcut$CUTDT, person$PLNENDDT, person$DTHDT, na.rm = TRUE) - os$STARTDT), 0)
  is_own <- os$CNSR == 0 | (person$DTHFL == "Y" & is.na(person$DTHDT))
  possible <- ifelse(is_own, observed, possible)
  if (!anyNA(possible) && sum(possible) > 0) completeness <- sum(pmin(observed, possible)) / sum(possible)
}
put("follow-up", "completeness", value = completeness)

# --- incidence ----------------------------------------------------------------------------------------------------

# Aalen and Johansen. `cause`: 0 censored, 1 the event, 2 and more what competes. Participants have Gray's variance (1988);
# with delayed entries and for lesions, which belong to participants (`cluster`), it is the infinitesimal jackknife.
incidence <- function(times, cause, cluster = NULL) {
  day <- sort(unique(times$AVAL))
  kinds <- seq_len(max(cause, 1))
  at_risk <- vapply(day, function(t) sum(times$AENTRY < t & times$AVAL >= t), 0)
  events <- vapply(kinds, function(k) vapply(day, function(t) sum(times$AVAL == t & cause == k), 0), numeric(length(day)))
  events <- matrix(events, length(day))
  hazard <- ifelse(events > 0, events / at_risk, 0)
  all_events <- rowSums(events)
  free <- cumprod(ifelse(all_events > 0, (at_risk - all_events) / at_risk, 1))
  before <- c(1, free)[seq_along(day)]
  curves <- list(day = day, at_risk = at_risk, events = events, free = free, before = before)
  curves$incidence <- matrix(apply(before * hazard, 2, cumsum), length(day))
  is_jackknife <- !is.null(cluster) || any(times$AENTRY > 0)
  if (is.null(cluster)) cluster <- seq_along(cause)
  curves$variance <- if (is_jackknife) jackknife(times, cause, cluster, curves) else gray_variance(curves)
  compare_with_packages(times, cause, curves, is_jackknife)
  curves
}
gray_variance <- function(curves) {
  weight <- function(d) {
    ties <- ifelse(d > 1, (curves$at_risk - d) / (curves$at_risk - 1), 1)
    ifelse(d > 0, curves$before^2 * d / curves$at_risk^2 * ties, 0)
  }
  own <- weight(curves$events[, 1])
  other <- weight(rowSums(curves$events) - curves$events[, 1])
  vapply(seq_along(curves$day), function(row) {
    u <- seq_len(row)
    rest <- curves$incidence[row, 1] - curves$incidence[u, 1]
    ratio <- ifelse(curves$free[u] > 0, rest / curves$free[u], 0)
    sum(own[u] * (1 - ratio)^2 + ifelse(curves$free[u] > 0, other[u] * ratio^2, 0))
  }, 0)
}
jackknife <- function(times, cause, cluster, curves) {
  members <- unique(cluster)
  on_free <- on_event <- numeric(length(members))
  member <- match(cluster, members)
  sum_by <- function(chosen) tabulate(member[chosen], length(members))
  vapply(seq_along(curves$day), function(row) {
    t <- curves$day[row]
    n <- curves$at_risk[row]
    d <- sum(curves$events[row, ])
    if (d > 0) {
      share <- curves$before[row] / n
      risk <- sum_by(times$AENTRY < t & times$AVAL >= t)
      d1 <- curves$events[row, 1]
      on_event <<- on_event + on_free * d1 / n + share * (sum_by(times$AVAL == t & cause == 1) - risk * d1 / n)
      on_free <<- on_free * (1 - d / n) - share * (sum_by(times$AVAL == t & cause > 0) - risk * d / n)
    }
    sum(on_event^2)
  }, 0)
}
# The estimate is that of survival's survfit, and Gray's variance that of cmprsk's cuminc, where it is installed.
compare_with_packages <- function(times, cause, curves, is_jackknife) {
  if (!any(cause > 0)) return(invisible())
  state <- factor(cause, 0:max(cause))
  fit <- survfit(Surv(AENTRY, AVAL, state) ~ 1, times, id = seq_along(cause))
  if (any(abs(fit$pstate[, 2] - curves$incidence[match(fit$time, curves$day), 1]) > 1e-9)) stop("survfit differs")
  if (is_jackknife || !any(cause == 1) || !requireNamespace("cmprsk", quietly = TRUE)) return(invisible())
  estimates <- cmprsk::timepoints(cmprsk::cuminc(times$AVAL, cause), curves$day)
  is_defined <- !is.na(estimates$var[1, ])
  if (any(abs(estimates$var[1, ] - curves$variance)[is_defined] > 1e-9)) stop("the variance of cmprsk differs")
}
incidence_at <- function(curves, day) {
  if (day > max(curves$day) && min(curves$free) > 0) return(c(NA, NA, NA, NA))
  row <- findInterval(day, curves$day)
  if (row == 0) return(c(0, NA, NA, 0))
  estimate <- curves$incidence[row, 1]
  limits <- c(NA, NA)
  if (estimate > 0 && estimate < 1) {
    limits <- estimate^exp(c(-1, 1) * z * sqrt(curves$variance[row]) / (estimate * log(estimate)))
  }
  c(estimate, limits, sum(curves$incidence[row, -1]))
}
# `competing`: the names of the causes 2, 3, … in headline.csv.
incidence_numbers <- function(figure, name, times, cause, competing, cluster = NULL, has_curve = TRUE) {
  marks <- matrix(NA, length(landmarks), 4)
  median <- NA
  if (nrow(times) > 0 && has_curve) {
    curves <- incidence(times, cause, cluster)
    reached <- which(curves$incidence[, 1] >= 0.5 - 2^-26)
    is_emptied <- any(curves$free[-length(curves$free)] == 0)
    if (length(reached) && !is_emptied) median <- curves$day[reached[1]] - 1
    for (row in seq_along(landmarks)) marks[row, ] <- incidence_at(curves, landmarks[row] * month + 1)
  }
  put(figure, name, "n", value = nrow(times))
  put(figure, name, "events", value = sum(cause == 1))
  for (kind in seq_along(competing)) put(figure, name, competing[kind], value = sum(cause == kind + 1))
  put(figure, name, "median", value = median)
  for (row in seq_along(landmarks)) {
    put_interval(figure, name, "months", landmarks[row], values = marks[row, 1:3])
    put(figure, name, "months", landmarks[row], "competing", value = marks[row, 4])
  }
}
rate_numbers <- function(figure, name, times) {
  events <- sum(times$EVNTCD == 1)
  months_at_risk <- sum(times$AVAL - 1 - pmax(times$AENTRY - 1, 0)) / month
  rate <- c(events, qgamma(0.025, events), qgamma(0.975, events + 1)) / months_at_risk
  put_interval(figure, name, "rate", values = if (months_at_risk > 0) rate else c(NA, NA, NA))
}

for (code in c("LRC", "DMC")) {
  figure <- c(LRC = "locoregional-control", DMC = "distant-control")[[code]]
  incidence_numbers(figure, "all", of(code), of(code)$EVNTCD, "death")
  put_page(figure, failures = number_of(figure, "all", "events"), deaths = number_of(figure, "all", "death"))
}
first <- of("FF")
sites <- c("local", "regional", "distant", "several")
with_first <- function(causes) c(0, causes)[first$EVNTCD + 1]
incidence_numbers("first-failure", "all", first, with_first(c(1, 1, 1, 1, 2)), "death")
# Beside a first failure at one site, the other sites compete, and death.
for (site in seq_along(sites)) {
  numbers <- numeric(5)
  numbers[c(site, setdiff(1:5, site))] <- 1:5
  incidence_numbers("first-failure", sites[site], first, with_first(numbers), c(sites[-site], "death"))
  put("first-failure", "page", sites[site], value = number_of("first-failure", sites[site], "events"))
}
failures <- number_of("first-failure", "all", "events")
put_page("first-failure", failures = failures, deaths = number_of("first-failure", "all", "death"))
for (code in c("TOX3", "TOX3R")) {
  times <- of(code)
  versions <- unique(times$DICTVER)
  # No curve is over two versions of CTCAE: whoever was graded in several is counted alone.
  is_several <- function(version) grepl(" + ", version, fixed = TRUE)
  groups <- if (length(versions) > 1 || any(is_several(versions))) times$DICTVER else rep("all", nrow(times))
  for (group in if (nrow(times)) unique(groups) else "all") {
    part <- times[groups == group, ]
    name <- paste(code, group, sep = "/")
    incidence_numbers("severe-toxicity", name, part, part$EVNTCD, "death", has_curve = !is_several(group))
    if (!is_several(group)) rate_numbers("severe-toxicity", name, part)
  }
  shown <- c(TOX3 = "severe", TOX3R = "related")[[code]]
  put("severe-toxicity", "page", shown, value = sum(times$EVNTCD == 1))
}
adttel <- read_set("adttel")
for (code in c("LF", "LN", "LFSRT")) {
  times <- adttel[adttel$PARAMCD == code, ]
  incidence_numbers("local-control", code, times, times$EVNTCD, c("death", "retreatment"), times$USUBJID)
  put("local-control", code, "lesions", value = nrow(times))
  put("local-control", code, "participants", value = length(unique(times$USUBJID)))
  put("local-control", code, "deaths_without_imaging", value = yes(times$GAPFL))
  for (status in c("controlled", "indeterminate", "necrosis", "progressed", "never_imaged")) {
    put("local-control", code, "status", status, value = sum(times$LESSTAT == status))
  }
}

put_page(
  "local-control", lesions = number_of("local-control", "LF", "lesions"),
  events = number_of("local-control", "LF", "events"),
  controlled = number_of("local-control", "LF", "status", "controlled")
)

# --- tables -------------------------------------------------------------------------------------------------------

# The names of rows are those of headline.csv: what nobody has is there with 0.
rows_of <- function(figure, part) {
  names <- names_of(figure)
  sub(paste0(part, "/"), "", names[startsWith(names, paste0(part, "/"))], fixed = TRUE)
}
put("characteristics", "n", value = nrow(adsl))
sexes <- c(female = "F", male = "M")
columns <- c(sex = "SEX", stage = "STAGE", ecog = "ECOGBL", histology = "HISTOL", intent = "INTENT")
for (name in names(columns)) for (value in rows_of("characteristics", name)) {
  code <- if (name == "sex") sexes[[value]] else value
  put("characteristics", name, value, value = sum(adsl[[columns[[name]]]] == code, na.rm = TRUE))
}
several <- c(delivery = "DELIV", metastatic_sites = "METASITE")
for (name in names(several)) for (value in rows_of("characteristics", name)) {
  sets <- strsplit(adsl[[several[[name]]]], " ", fixed = TRUE)
  put("characteristics", name, value, value = sum(vapply(sets, function(set) value %in% set, TRUE)))
}
measured <- c(age = "AGE", index_dose = "INDXDOSE", metastatic_site_count = "METANUM")
for (name in names(measured)) {
  numbers <- quantile(adsl[[measured[[name]]]], na.rm = TRUE, type = 7)
  parts <- c("minimum", "lower_quartile", "median", "upper_quartile", "maximum")
  for (part in seq_along(parts)) put("characteristics", name, parts[part], value = numbers[[part]])
}
put_page("characteristics", participants = nrow(adsl))
if (any(!is.na(adsl$AGE))) put_page("characteristics", age = median(adsl$AGE, na.rm = TRUE))
dead <- adsl[adsl$DTHFL == "Y", ]
put("causes-of-death", "died", value = nrow(dead))
put_page("causes-of-death", died = nrow(dead))
for (cause in c("tumour", "treatment", "other", "unknown")) put("causes-of-death", cause, value = sum(dead$DTHCAUS == cause))
put("causes-of-death", "presumed", value = yes(dead$DTHPRES))
put("causes-of-death", "undated", value = yes(dead$DTHDTF))
put("causes-of-death", "after_withdrawal", value = sum(dead$DEADDT > dead$WITHDT, na.rm = TRUE))

adrs <- read_set("adrs")
responses <- adrs[adrs$PARAMCD == "RSP" & !is.na(adsl$ORIGINDT[subject(adrs)]), ]
responses <- responses[responses$ADT > adsl$ORIGINDT[subject(responses)], ]
ranked <- c("CR", "PR", "SD", "NON-CR/NON-PD", "PD", "NE")
best <- tapply(match(responses$AVALC, ranked), responses$USUBJID, min)
put("response", "n", value = sum(!is.na(adsl$ORIGINDT)))
put("response", "assessed", value = length(best))
for (rank in seq_along(ranked)) put("response", ranked[rank], value = sum(best == rank))
put_page("response", responses = sum(best <= 2))

adtrt <- read_set("adtrt")
targets <- adtrt[adtrt$CURFL == "Y", ]
put("treatments", "targets", value = nrow(targets))
put("treatments", "participants", value = length(unique(targets$USUBJID)))
put_page("treatments", targets = nrow(targets), participants = length(unique(targets$USUBJID)))
for (delivery in unique(targets$DELIV)) {
  put("treatments", delivery, "targets", value = sum(targets$DELIV == delivery))
  put("treatments", delivery, "participants", value = length(unique(targets$USUBJID[targets$DELIV == delivery])))
}
advis <- read_set("advis")
visits <- table(factor(advis$VSTAT, c("done", "done_late", "not_reported", "not_applicable")))
for (state in names(visits)) put("visit-adherence", state, value = visits[[state]])
visits_expected <- sum(visits) - visits[["not_applicable"]]
put("visit-adherence", "expected", value = visits_expected)
percent <- function(part) if (visits_expected > 0) half_up(100 * part / visits_expected) else NA
put("visit-adherence", "reported_percent", value = percent(visits[["done"]] + visits[["done_late"]]))
put("visit-adherence", "in_window_percent", value = percent(visits[["done"]]))
put_page("visit-adherence", reported = number_of("visit-adherence", "reported_percent"))
put("visit-adherence", "page", "in window", value = percent(visits[["done"]]))

adsym <- read_set("adsym")
contacts <- adrs[adrs$PARAMCD == "CONTACT" & adrs$AVALC != "registry", ]
baseline <- adsym[adsym$PARAMCD == "SEVERITY", ]
baseline_on <- baseline$ADT[match(adsl$USUBJID, baseline$USUBJID)]
seen <- unique(contacts$USUBJID[contacts$ADT > baseline_on[subject(contacts)]])
symptoms <- setdiff(unique(sub("/.*", "", names_of("symptom-relief"))), "page")
for (symptom in symptoms) {
  severity <- baseline[baseline$SYMPTOM == symptom, ]
  is_absent <- severity$AVALC %in% c("none", "0")
  present <- unique(severity$USUBJID[!is_absent])
  changes <- adsym[adsym$PARAMCD == "CHANGE" & adsym$SYMPTOM == symptom & adsym$USUBJID %in% present, ]
  changes <- changes[changes$ADT > baseline_on[subject(changes)], ]
  relieved <- changes$AVALC %in% c("improved", "resolved")
  last <- ave(as.numeric(changes$ADT), changes$USUBJID, FUN = max) == as.numeric(changes$ADT)
  people <- function(chosen) unique(changes$USUBJID[chosen])
  assessed <- unique(changes$USUBJID)
  dead_unseen <- setdiff(setdiff(intersect(present, dead$USUBJID), seen), assessed)
  put("symptom-relief", symptom, "present", value = length(present))
  put("symptom-relief", symptom, "absent", value = length(unique(severity$USUBJID[is_absent])))
  put("symptom-relief", symptom, "not_evaluable", value = nrow(adsl) - length(unique(severity$USUBJID)))
  put("symptom-relief", symptom, "assessed", value = length(assessed))
  for (name in c("relieved", "relieved_of_assessed")) {
    put("symptom-relief", symptom, name, value = length(people(relieved)))
  }
  put("symptom-relief", symptom, "relieved_at_last", value = length(setdiff(people(last & relieved), people(last & !relieved))))
  put("symptom-relief", symptom, "worse_at_last", value = length(people(last & changes$AVALC == "worse")))
  put("symptom-relief", symptom, "died_before_contact", value = length(dead_unseen))
}

put_page("symptom-relief", relieved = sum_of("symptom-relief", symptoms, "relieved"))

adtox <- read_set("adtox")
adae <- read_set("adae")
treated <- adsl[!is.na(adsl$TRTSDT), ]
put("toxicity-grades", "n", value = nrow(treated))
serious <- adae[adae$AESER == "Y", ]
findings <- data.frame(
  USUBJID = c(adtox$USUBJID, serious$USUBJID), TERM = c(adtox$TERM, serious$AETERM),
  GRADE = c(adtox$ATOXGRN, serious$ATOXGRN), AREL = c(adtox$AREL, serious$AREL),
  STATUS = c(adtox$TOXSTAT, ifelse(serious$GRDFL == "Y", "GRADED", "NOT GRADED")),
  BASELINE = c(adtox$TIMEPT == "baseline", rep(FALSE, nrow(serious))),
  DAY = c(adtox$ADT, serious$ASTDT)
)
findings <- findings[findings$USUBJID %in% treated$USUBJID & findings$STATUS != "NOT ASSESSED", ]
start <- treated$TRTSDT[match(findings$USUBJID, treated$USUBJID)]
findings$BEFORE <- findings$BASELINE & findings$DAY <= start
findings$AFTER <- !findings$BEFORE & findings$DAY >= start
worst <- function(part, grades) {
  if (!nrow(part)) return(numeric(0))
  tapply(ifelse(is.na(grades), -1, grades), part$USUBJID, max)
}
put_grades <- function(term, reading, grades) {
  for (grade in 0:5) put("toxicity-grades", term, reading, grade, value = sum(grades == grade))
  put("toxicity-grades", term, reading, "not_assessed", value = nrow(treated) - sum(grades >= 0))
}
terms <- setdiff(unique(sub("/.*", "", names_of("toxicity-grades"))), c("n", "page"))
for (term in terms) {
  before <- findings[findings$BEFORE & findings$TERM == term, ]
  after <- findings[findings$AFTER & findings$TERM == term, ]
  is_related <- after$AREL %in% c("Y", "U")
  all_causes <- worst(after, after$GRADE)
  related <- worst(after, ifelse(is_related & !is.na(after$GRADE), after$GRADE, 0))
  put_grades(term, "before", worst(before, before$GRADE))
  put_grades(term, "after", all_causes)
  put_grades(term, "after_related", ifelse(all_causes < 0, -1, related))
  put("toxicity-grades", term, "before", "ungraded", value = sum(worst(before, before$GRADE) == -1))
  put("toxicity-grades", term, "after", "ungraded", value = sum(all_causes == -1))
}
with_severe <- vapply(terms, function(term) {
  sum(vapply(3:5, function(grade) number_of("toxicity-grades", term, "after", grade), 0)) > 0
}, TRUE)
put_page("toxicity-grades", participants = nrow(treated), severe = sum(with_severe))
