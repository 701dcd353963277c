"""Per place and week: how peacescores are spread, and how far they moved since the week before. → derived.score_drift

`drift` is the change of the mean in units of both weeks' common standard deviation (Cohen's d): 0.2 is small, 0.8 is
large, whatever the scale. Places with fewer than --min-group persons in a week are left out, and counted in the note.
"""

from pyspark.sql import Window
from pyspark.sql import functions as f

import jobs


def compute(reports, options):
    sightings = reports.select(
        f.substring("cell", 1, options.cell_letters).alias("place"),
        # Monday of the week, UTC. `date` is the day Columba filed the report under, also where a clock was wrong.
        f.to_date(f.date_trunc("week", "date")).alias("week"),
        f.explode("citizens").alias("citizen"),
    ).select("place", "week", "citizen.*")
    weekly = sightings.groupBy("place", "week").agg(
        f.countDistinct("person_id").alias("persons"),
        f.count("*").alias("sightings"),
        f.avg("peacescore").alias("mean"),
        f.coalesce(f.stddev_samp("peacescore"), f.lit(0.0)).alias("deviation"),
        f.percentile("peacescore", 0.1).alias("p10"),
        f.percentile("peacescore", 0.5).alias("p50"),
        f.percentile("peacescore", 0.9).alias("p90"),
    ).cache()
    kept = weekly.where(f.col("persons") >= options.min_group)
    suppressed = weekly.count() - kept.count()
    # The week before, not the row before: a place without data last week has no change.
    before = kept.select(
        "place", f.date_add("week", 7).alias("week"), f.col("mean").alias("mean_before"),
        f.col("deviation").alias("deviation_before"))
    common = f.sqrt((f.pow("deviation", 2) + f.pow("deviation_before", 2)) / 2)
    result = (
        kept.join(before, ["place", "week"], "left")
        .withColumn("change", f.col("mean") - f.col("mean_before"))
        .withColumn("drift", f.when(common > 0, f.col("change") / common))
        .drop("deviation_before")
        .orderBy("place", "week")
    )
    return result, {"cell_letters": options.cell_letters, "min_group": options.min_group,
                    "suppressed_groups": suppressed}


if __name__ == "__main__":
    jobs.run("score_drift", compute, jobs.arguments(__doc__).parse_args())
