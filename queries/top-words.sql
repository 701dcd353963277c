-- title: Words heard most often
-- description: The most frequent words of the period, and in how many reports and by how many drones they were heard.
-- param from timestamp = -24h: Beginning
-- param to timestamp = now: End, not included
-- param cell text = '': Only cells that begin so
-- param top integer = 100: How many words
-- column word: The word as reported
-- column spoken [words]: How often it was heard
-- column share [1]: Of all words of the period
-- column reports [reports]: Reports it is in
-- column drones [drones]: Drones that heard it
-- plot: bar x=word y=spoken
with heard as (
    select word, count(*) as spoken, count(*) / sum(count(*)) over () as share, count(distinct drone_id) as drones
    from spoken
    where in_period(date, observed_at, received_at, time_suspect, $from, $to) and starts_with(cell, $cell)
    group by word
), in_reports as (
    select word, count(*) as reports
    from (
        select unnest(list_distinct(words)) as word
        from reports
        where in_period(date, observed_at, received_at, time_suspect, $from, $to) and starts_with(cell, $cell)
    )
    group by word
)
select word, spoken, share, reports, drones
from heard join in_reports using (word)
order by spoken desc, word
limit $top
