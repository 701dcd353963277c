"""Per day, relay and place: how many reports, by how many drones, and how late. → derived.daily_by_relay_and_cell"""

from pyspark.sql import functions as f

import jobs


def compute(reports, options):
    delay_s = f.unix_micros("received_at") - f.unix_micros("observed_at")
    result = (
        reports.withColumn("place", f.substring("cell", 1, options.cell_letters))
        .groupBy("date", "relay_id", "place")
        .agg(
            f.count("*").alias("reports"),
            f.countDistinct("drone_id").alias("drones"),
            f.sum(f.coalesce(f.size("citizens"), f.lit(0)).cast("bigint")).alias("sightings"),
            f.sum(f.coalesce(f.size("words"), f.lit(0)).cast("bigint")).alias("words"),
            f.sum(f.col("late").cast("bigint")).alias("late"),
            f.sum(f.col("time_suspect").cast("bigint")).alias("time_suspect"),
            # A clock that is a day off says nothing about the delay.
            f.avg(f.when(~f.col("time_suspect"), delay_s / 1e6)).alias("mean_delay_s"),
            f.min("received_at").alias("first_received_at"),
            f.max("received_at").alias("last_received_at"),
        )
        .orderBy("date", "relay_id", "place")
    )
    return result, {"cell_letters": options.cell_letters}


if __name__ == "__main__":
    jobs.run("daily_by_relay_and_cell", compute, jobs.arguments(__doc__).parse_args())
