# Rscript survival.R FILE CURVES: fits so many Kaplan-Meier curves with log(-log) bands to the times in FILE.
# FILE has the number of times, the times, and 1 for each event or 0, as 32-bit integers. Prints the CPU seconds of a curve,
# and the last estimate above 0 with its limits. The start of R, the reading and a first curve are not measured.
suppressPackageStartupMessages(library(survival))
arguments <- commandArgs(trailingOnly = TRUE)
file <- file(arguments[1], "rb")
count <- readBin(file, "integer", 1)
days <- readBin(file, "integer", count)
events <- readBin(file, "integer", count)
close(file)
fit <- function() survfit(Surv(days, events) ~ 1, conf.type = "log-log")
curve <- fit()
started <- sum(proc.time()[c("user.self", "sys.self")])
for (repeated in seq_len(as.integer(arguments[2]))) {
  curve <- fit()
}
seconds <- (sum(proc.time()[c("user.self", "sys.self")]) - started) / as.integer(arguments[2])
row <- sum(curve$surv > 0)
cat(sprintf("%.17g %.17g %.17g %.17g\n", seconds, curve$surv[row], curve$lower[row], curve$upper[row]))
