-- title: Distribution of peacescores
-- description: How many sightings of citizens fall into each band of the peacescore. A sighting is one citizen in one
-- description: report; a band about too few different persons is left out.
-- param from timestamp = -24h: Beginning
-- param to timestamp = now: End, not included
-- param width number = 10: Width of a band
-- param cell text = '': Only cells that begin so
-- column score_from [points]: Lower end of the band, included
-- column score_to [points]: Upper end of the band, not included
-- column sightings [sightings]: Sightings
-- column persons [persons]: Different persons
-- column share [1]: Of all sightings in the period, those left out included
-- plot: bar x=score_from y=sightings
-- people: persons
select floor(peacescore / $width) * $width as score_from, (floor(peacescore / $width) + 1) * $width as score_to,
    count(*) as sightings, count(distinct person_id) as persons, count(*) / sum(count(*)) over () as share
from sightings
where in_period(date, observed_at, received_at, time_suspect, $from, $to) and starts_with(cell, $cell)
group by 1, 2
order by 1
