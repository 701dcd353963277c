"""Per week and word: in how many reports it was heard, and how that changed. → derived.word_trends

`share` is of all reports of the week; `lift` is this week's share over last week's, both with half a report added, so
that a new word has a finite one. Words in fewer than --min-group reports of a week are left out, and counted in the
note. A word counts once in a report, however often it was said.
"""

from pyspark.sql import functions as f

import jobs


def compute(reports, options):
    weekly = reports.select(
        f.to_date(f.date_trunc("week", "date")).alias("week"), f.array_distinct("words").alias("words"))
    totals = weekly.groupBy("week").agg(f.count("*").alias("all_reports"))
    counted = (
        weekly.select("week", f.explode("words").alias("word"))
        .groupBy("week", "word").agg(f.count("*").alias("reports")).cache()
    )
    kept = counted.where(f.col("reports") >= options.min_group)
    suppressed = counted.count() - kept.count()
    # Fewer than the limit last week counts as none: a lift must not say what that week's own rows leave out.
    before = kept.select(f.date_add("week", 7).alias("week"), "word", f.col("reports").alias("reports_before"))
    totals_before = totals.select(f.date_add("week", 7).alias("week"), f.col("all_reports").alias("all_before"))
    smoothed = (f.col("reports") + 0.5) / (f.col("all_reports") + 1)
    smoothed_before = (f.coalesce(f.col("reports_before"), f.lit(0)) + 0.5) / (f.col("all_before") + 1)
    result = (
        kept.join(totals, "week").join(totals_before, "week", "left").join(before, ["week", "word"], "left")
        .select(
            "week", "word", "reports", "all_reports", (f.col("reports") / f.col("all_reports")).alias("share"),
            "reports_before",
            (smoothed / smoothed_before).alias("lift"),
        )
        .orderBy("week", f.desc("reports"), "word")
    )
    return result, {"min_group": options.min_group, "suppressed_words": suppressed}


if __name__ == "__main__":
    jobs.run("word_trends", compute, jobs.arguments(__doc__).parse_args())
