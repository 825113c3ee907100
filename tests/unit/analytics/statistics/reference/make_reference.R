# Writes the tables that the estimators are compared with. Needs Debian's r-base-core, r-cran-survival, r-cran-cmprsk.
# Run it in its own folder: Rscript make_reference.R
#
# Days are whole. Entry -1 stands for "at risk from day 0 on, that day included": Surv(0, 0, 1) is missing in R.
# What R refuses (no events for cuminc, a singular variance for survdiff) has no row, or NA.
suppressPackageStartupMessages({ library(survival); library(cmprsk) })
options(warn = 1)

cohort <- function(name, exit, cause, group = 1, entry = -1, cluster = seq_along(exit), covariate = 0)
  data.frame(cohort = name, entry = entry, exit = exit, cause = cause, group = group, cluster = cluster,
             covariate = covariate)

random_cohort <- function(name, n, days, causes = 2, entries = FALSE, censored = 0.3) {
  exit <- pmin(floor(rexp(n, 2 / days)), days)
  entry <- rep(-1, n)
  if (entries) entry <- ifelse(runif(n) < 0.3, -1, pmin(exit - 1, floor(runif(n, 0, days / 2))))
  entry[entry <= 0] <- -1
  cause <- ifelse(runif(n) < censored, 0, sample(causes, n, TRUE))
  cohort(name, exit, cause, sample(3, n, TRUE), entry, sample(ceiling(n / 2), n, TRUE), round(rnorm(n), 2))
}

set.seed(20261130)
monoclonal <- with(mgus2, cohort("mgus2", ifelse(pstat == 0, futime, ptime), ifelse(pstat == 0, 2 * death, 1),
                                 ifelse(sex == "F", 1, 2), covariate = age))
cohorts <- c(
  list(with(lung, cohort("lung", time, status - 1, sex, covariate = age)),
       with(veteran, cohort("veteran", time, status, as.integer(celltype), covariate = karno)),
       monoclonal,
       cohort("all_censored", c(0, 3, 3, 9), 0, c(1, 2, 1, 2)),
       cohort("nobody_censored", c(2, 2, 5, 7, 7, 9), c(1, 2, 1, 1, 2, 1), c(1, 2, 1, 2, 1, 2)),
       cohort("one_event", 12, 1), cohort("one_censored", 12, 0),
       cohort("events_on_day_0", c(0, 10, 0, 20), c(1, 1, 0, 0), c(1, 2, 1, 2)),
       cohort("day_0_only", c(0, 0), c(1, 0)),
       cohort("all_on_one_day", c(4, 4, 4, 4), 1, c(1, 2, 1, 2)),
       cohort("plateau_at_half", c(246, 145, 599, 345), c(1, 1, 0, 0)),
       cohort("plateau_with_later_step", c(42, 101, 147, 248), 1),
       cohort("group_censored_on_day_0", c(0, 0, 3, 5, 8, 9), c(0, 0, 1, 1, 0, 1), c(3, 3, 1, 2, 1, 2)),
       cohort("group_without_expectation", c(1, 2, 5, 6), c(0, 0, 1, 1), c(1, 1, 2, 2)),
       cohort("separated", c(1, 2, 3, 7, 8, 9), c(1, 1, 1, 0, 0, 0), rep(1:2, each = 3), covariate = rep(0:1, each = 3)),
       cohort("risk_set_emptied", c(5, 20, 30, 40), c(1, 1, 1, 0), entry = c(-1, 10, 10, 10)),
       cohort("entries", c(25, 40, 18, 60, 33, 33, 50, 12, 70, 45), c(1, 1, 1, 0, 1, 1, 1, 1, 1, 0),
              rep(1:2, each = 5), c(-1, 10, 5, 20, -1, 15, 8, -1, 30, 12), covariate = rep(0:1, each = 5)),
       cohort("reached_group",
              c(30, 45, 60, 80, 100, 150, 260, 90, 100, 120, 150, 200, 120, 180, 220, 300, 365),
              rep(c(1, 0, 1, 0), c(7, 5, 4, 1)), rep(1:2, c(12, 5)),
              c(rep(-1, 12), 90, 100, 120, 150, 200),
              covariate = rep(0:1, c(12, 5))),
       cohort("lesions", c(100, 200, 25, 120, 120, 300, 200, 60, 60), c(1, 2, 2, 1, 1, 0, 3, 2, 2),
              cluster = c(1, 1, 2, 3, 3, 4, 4, 5, 5))),
  lapply(1:12, function(i) random_cohort(paste0("ties_", i), 5 * i, 12)),
  lapply(1:4, function(i) random_cohort(paste0("three_causes_", i), 25 * i, 200, causes = 3)),
  lapply(1:10, function(i) random_cohort(paste0("delayed_", i), 6 * i, 15, entries = TRUE)),
  list(random_cohort("delayed_long", 150, 900, entries = TRUE), random_cohort("long", 150, 900),
       random_cohort("ties_all_events", 40, 10, censored = 0), random_cohort("ties_few_events", 40, 10, censored = 0.95)))

exact <- function(x) if (is.double(x)) ifelse(is.finite(x), sprintf("%.17g", x), "NA") else as.character(x)
store <- function(name, rows) {
  table <- do.call(rbind, rows)
  write.csv(as.data.frame(lapply(table, exact)), paste0(name, ".csv"), row.names = FALSE, quote = FALSE)
}
over_cohorts <- function(f) Filter(Negate(is.null), lapply(cohorts, f))
has_entry <- function(d) any(d$entry >= 0)
surv <- function(d, event) if (has_entry(d)) Surv(d$entry, d$exit, event) else Surv(d$exit, event)
attempt <- function(expression) tryCatch(expression, error = function(e) NULL)

curve <- function(d) survfit(surv(d, d$cause > 0) ~ 1, conf.type = "log-log")
store("cohorts", cohorts)
store("kaplan_meier", over_cohorts(function(d) with(curve(d), data.frame(
  cohort = d$cohort[1], day = time, at_risk = n.risk, events = n.event, estimate = surv,
  standard_error = surv * std.err, lower = lower, upper = upper))))
store("reverse", over_cohorts(function(d) with(survfit(surv(d, d$cause == 0) ~ 1, conf.type = "log-log"), data.frame(
  cohort = d$cohort[1], day = time, estimate = surv, lower = lower, upper = upper))))

# print.survfit's rule at 0.5; the same function at other probabilities, because quantile() has another rule.
first_day <- function(y, day, p) {
  near <- sqrt(.Machine$double.eps)
  keep <- !is.na(y) & y < p + near
  if (!any(keep)) return(NA_real_)
  y <- y[keep]; day <- day[keep]
  if (abs(y[1] - p) < near && any(y < y[1])) (day[1] + day[min(which(y < y[1]))]) / 2 else day[1]
}
store("quantiles", over_cohorts(function(d) {
  f <- survfit0(curve(d))
  printed <- summary(curve(d))$table[c("median", "0.95LCL", "0.95UCL")]
  rows <- data.frame(cohort = d$cohort[1], p = c(0.25, 0.5, 0.75))
  for (name in c("surv", "lower", "upper"))
    rows[[name]] <- sapply(1 - rows$p, function(p) first_day(f[[name]], f$time, p))
  stopifnot(all.equal(unname(unlist(rows[2, 3:5])), unname(printed)))
  rows
}))
store("restricted_means", over_cohorts(function(d) do.call(rbind, lapply(c(5, 10, 100, 365), function(until) {
  if (until > max(d$exit)) return(NULL)
  mean <- attempt(summary(curve(d), rmean = until)$table)
  if (is.null(mean)) return(NULL)
  data.frame(cohort = d$cohort[1], until = until, mean = mean[["rmean"]], standard_error = mean[["se(rmean)"]])
}))))

store("log_rank", over_cohorts(function(d) {
  if (length(unique(d$group)) < 2) return(NULL)
  if (has_entry(d)) {
    fit <- attempt(coxph(surv(d, d$cause > 0) ~ factor(group), d, ties = "exact"))
    if (is.null(fit)) return(NULL)
    return(data.frame(cohort = d$cohort[1], statistic = fit$score, df = sum(!is.na(coef(fit))),
                      p = pchisq(fit$score, sum(!is.na(coef(fit))), lower.tail = FALSE)))
  }
  test <- attempt(survdiff(Surv(exit, cause > 0) ~ group, d))
  if (is.null(test)) return(data.frame(cohort = d$cohort[1], statistic = NA, df = NA, p = NA))
  data.frame(cohort = d$cohort[1], statistic = test$chisq, df = sum(test$exp > 0) - 1, p = test$pvalue)
}))
expected <- over_cohorts(function(d) {
  if (length(unique(d$group)) < 2 || has_entry(d)) return(NULL)
  test <- attempt(survdiff(Surv(exit, cause > 0) ~ group, d))
  if (is.null(test)) NULL else
    data.frame(cohort = d$cohort[1], group = sort(unique(d$group)), observed = test$obs, expected = test$exp)
})
store("log_rank_groups", expected)

last_at <- function(curve, days) {
  at <- sapply(days, function(day) max(which(curve$time <= day)))
  data.frame(estimate = curve$est[at], variance = curve$var[at])
}
store("incidence", over_cohorts(function(d) {
  if (has_entry(d) || !any(d$cause > 0)) return(NULL)
  fit <- cuminc(d$exit, d$cause)
  days <- sort(unique(d$exit))
  do.call(rbind, lapply(sort(unique(d$cause[d$cause > 0])), function(cause)
    data.frame(cohort = d$cohort[1], cause = cause, day = days, last_at(fit[[paste(1, cause)]], days))))
}))
store("gray", over_cohorts(function(d) {
  if (has_entry(d) || !any(d$cause > 0) || length(unique(d$group)) < 2) return(NULL)
  tests <- attempt(cuminc(d$exit, d$cause, d$group)$Tests)
  if (is.null(tests)) return(NULL)
  data.frame(cohort = d$cohort[1], cause = as.integer(rownames(tests)), statistic = tests[, "stat"],
             df = tests[, "df"], p = tests[, "pv"])
}))
# The standard error that survfit prints ignores `cluster`: sum the influence within participants by hand.
store("incidence_by_cluster", over_cohorts(function(d) {
  if (nrow(d) > 300) return(NULL)
  causes <- 0:max(1, d$cause)
  fit <- survfit(surv(d, factor(d$cause, causes)) ~ 1, id = seq_along(d$exit), influence = TRUE)
  do.call(rbind, lapply(seq_along(causes)[-1], function(state) {
    influence <- fit$influence.pstate[, , state, drop = FALSE]
    dim(influence) <- dim(influence)[1:2]
    skipped <- ncol(influence) - length(fit$time)
    clustered <- sqrt(colSums(rowsum(influence, d$cluster)^2))
    alone <- sqrt(colSums(influence^2))
    keep <- seq_along(fit$time) + skipped
    data.frame(cohort = d$cohort[1], cause = causes[state], day = fit$time, estimate = fit$pstate[, state],
               alone = alone[keep], clustered = clustered[keep])
  }))
}))

store("cox", over_cohorts(function(d) {
  covariate <- if (length(unique(d$covariate)) > 1) d$covariate else d$group
  fit <- attempt(coxph(surv(d, d$cause > 0) ~ covariate, ties = "efron",
                       control = coxph.control(eps = 1e-12, toler.chol = 1e-14, iter.max = 30)))
  if (is.null(fit) || is.na(coef(fit))) return(data.frame(
    cohort = d$cohort[1], coefficient = NA, standard_error = NA, score = NA, likelihood_ratio = NA))
  data.frame(cohort = d$cohort[1], coefficient = coef(fit), standard_error = sqrt(vcov(fit)[1]), score = fit$score,
             likelihood_ratio = 2 * diff(fit$loglik))
}))

# Each group against the largest one, at a tie the first: a model of the two groups alone. `cause`: "any", or the cause 1
# alone, with others censored.
hazard_ratios <- function(d, cause) {
  d$event <- if (cause == "any") d$cause > 0 else d$cause == 1
  groups <- sort(unique(d$group))
  reference <- groups[which.max(sapply(groups, function(group) sum(d$group == group)))]
  do.call(rbind, lapply(setdiff(groups, reference), function(group) {
    pair <- d[d$group %in% c(group, reference), ]
    fit <- suppressWarnings(attempt(coxph(surv(pair, pair$event) ~ I(pair$group == group), ties = "efron",
                                          control = coxph.control(eps = 1e-12, toler.chol = 1e-14, iter.max = 30))))
    undefined <- is.null(fit) || is.na(coef(fit)) || abs(coef(fit)) > 15
    row <- if (undefined) rep(NA, 3) else summary(fit)$conf.int[1, c(1, 3, 4)]
    data.frame(cohort = d$cohort[1], group = group, reference = reference, estimate = row[[1]], lower = row[[2]],
               upper = row[[3]])
  }))
}
store("hazard_ratios", over_cohorts(function(d) hazard_ratios(d, "any")))
store("cause_specific_hazard_ratios", over_cohorts(function(d) if (max(d$cause) > 1) hazard_ratios(d, "first")))

counts <- expand.grid(x = c(0:6, 19, 20, 117), n = c(1, 3, 6, 20, 31, 117, 10000))
counts <- counts[counts$x <= counts$n, ]
store("binomial", lapply(seq_len(nrow(counts)), function(i) {
  limits <- binom.test(counts$x[i], counts$n[i])$conf.int
  data.frame(counts[i, ], lower = limits[1], upper = limits[2])
}))
store("poisson", lapply(c(0:10, 31, 100, 2500), function(x) {
  limits <- poisson.test(x, 255 / 30.4375)$conf.int
  data.frame(x = x, time = 255 / 30.4375, rate = x / (255 / 30.4375), lower = limits[1], upper = limits[2])
}))
# Quantiles of whole numbers by R's default, type 7: `number` lists them, `p` the quartiles from the minimum up.
numbers <- list(ages = c(59, 77, 62, 56), one = 71, two = c(40, 81), ties = c(5, 5, 5, 6, 6, 9),
                doses = c(2000, 5000, 5000, 6996, 6996, 7000, 6600), lung = lung$age)
store("quartiles", lapply(names(numbers), function(name)
  data.frame(cohort = name, p = 0:4 / 4, value = quantile(numbers[[name]], 0:4 / 4, names = FALSE))))
store("quartile_numbers", lapply(names(numbers), function(name) data.frame(cohort = name, number = numbers[[name]])))
writeLines(c(R.version.string, paste("survival", packageVersion("survival")), paste("cmprsk", packageVersion("cmprsk"))),
           "versions.txt")
