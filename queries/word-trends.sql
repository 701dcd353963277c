-- title: Words that became more or less frequent
-- description: Compares how often each word was heard in the period with the period of the same length before it. Words
-- description: heard fewer than `least` times in both together are left out.
-- param from timestamp = -24h: Beginning of the period; the one before ends here
-- param to timestamp = now: End, not included
-- param least integer = 5: Least number of times
-- param top integer = 100: How many words, by the size of the change
-- column word: The word as reported
-- column spoken [words]: How often in the period
-- column spoken_before [words]: How often in the period before
-- column share [1]: Of all words of the period
-- column share_before [1]: Of all words of the period before
-- column change [1]: share - share_before
-- plot: bar x=word y=change
with heard as (
    select word, report_time(observed_at, received_at, time_suspect) >= $from as is_now
    from spoken
    where in_period(date, observed_at, received_at, time_suspect, $from - ($to - $from), $to)
), totals as (
    select nullif(count(*) filter (where is_now), 0) as now, nullif(count(*) filter (where not is_now), 0) as before
    from heard
), words as (
    select word, count(*) filter (where is_now) as spoken, count(*) filter (where not is_now) as spoken_before
    from heard
    group by word
    having count(*) >= $least
)
select word, spoken, spoken_before, coalesce(spoken / now, 0) as share,
    coalesce(spoken_before / before, 0) as share_before,
    coalesce(spoken / now, 0) - coalesce(spoken_before / before, 0) as change
from words, totals
order by abs(change) desc, word
limit $top
