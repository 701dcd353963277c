// What an analyst's SQL finds besides the tables' own views: `sightings`, `spoken`, and macros for places, times and
// lists. All plain DuckDB SQL, so that a statement can be tried in any DuckDB with this text before it
// (`GET /v1/sql/helpers`). docs/central/analysis.md lists them with units; QueryHelperTests checks each against
// a computation of its own.

package enum SQLHelpers {
    /// Needs the views of the tables.
    package static let script = views + places + times + lists

    /// Nothing is joined and nothing sorted: a condition on `date` still decides which files are opened, because the
    /// list is unfolded in the select list (a lateral join would read every file).
    static let views = """
        create view sightings as select * exclude (citizen), citizen.person_id as person_id,
            citizen.peacescore as peacescore, citizen.confidence as confidence
            from (select date, drone_id, boot, seq, observed_at, received_at, archived_at, relay_id, lat, lon, alt_m,
                cell, time_suspect, late, unnest(citizens) as citizen from reports);
        create view spoken as select date, drone_id, boot, seq, observed_at, received_at, archived_at, relay_id, lat,
            lon, alt_m, cell, time_suspect, late, unnest(words) as word from reports;

        """

    /// Geohashes of any length (the archive's `cell` has 7 characters: `left(cell, 5)` is its 5-character cell, far
    /// cheaper than `geohash`), boxes and circles. The earth is a sphere of 6,371,008.8 m: at most 0.6 % off.
    static let places = """
        create macro geohash_step(value, low, high) as
            least(greatest(floor((value - low) / (high - low) * 1073741824)::BIGINT, 0), 1073741823);
        create macro geohash_bit(x, y, i) as
            case when i % 2 = 0 then (x >> (29 - i // 2)) & 1 else (y >> (29 - i // 2)) & 1 end;
        create macro geohash_text(x, y, n) as array_to_string(list_transform(range(n), lambda k:
            substr('0123456789bcdefghjkmnpqrstuvwxyz', (1 + 16 * geohash_bit(x, y, k * 5)
                + 8 * geohash_bit(x, y, k * 5 + 1) + 4 * geohash_bit(x, y, k * 5 + 2)
                + 2 * geohash_bit(x, y, k * 5 + 3) + geohash_bit(x, y, k * 5 + 4))::INT, 1)), '');
        create macro geohash(lat, lon, length := 7) as case when lat is null or lon is null then null
            else geohash_text(geohash_step(lon, -180, 180), geohash_step(lat, -90, 90),
                least(greatest(length, 1), 12)) end;
        create macro geohash_digit(cell, i) as strpos('0123456789bcdefghjkmnpqrstuvwxyz', substr(cell, i, 1)) - 1;
        create macro geohash_index(cell, parity, bits) as coalesce(list_sum(list_transform(range(bits), lambda i:
            ((geohash_digit(cell, ((2 * i + parity) // 5 + 1)::INT) >> (4 - (2 * i + parity) % 5)::INT) & 1)
                << (bits - 1 - i)::INT)), 0)::BIGINT;
        create macro geohash_box(x, nx, y, ny) as struct_pack(
            south := -90 + 180.0::DOUBLE * y / (1::BIGINT << ny), west := -180 + 360.0::DOUBLE * x / (1::BIGINT << nx),
            north := -90 + 180.0::DOUBLE * (y + 1) / (1::BIGINT << ny),
            east := -180 + 360.0::DOUBLE * (x + 1) / (1::BIGINT << nx));
        create macro cell_bounds(cell) as case when regexp_full_match(lower(cell), '[0-9b-hjkmnp-z]{1,12}')
            then geohash_box(
                geohash_index(lower(cell), 0, (5 * length(cell) + 1) // 2), (5 * length(cell) + 1) // 2,
                geohash_index(lower(cell), 1, 5 * length(cell) // 2), 5 * length(cell) // 2) end;
        create macro cell_lat(cell) as (cell_bounds(cell).south + cell_bounds(cell).north) / 2;
        create macro cell_lon(cell) as (cell_bounds(cell).west + cell_bounds(cell).east) / 2;
        create macro haversine_m(half_chord) as 2 * 6371008.8 * asin(sqrt(least(1, half_chord)));
        create macro distance_m(lat1, lon1, lat2, lon2) as haversine_m(pow(sin(radians(lat2 - lat1) / 2), 2)
            + cos(radians(lat1)) * cos(radians(lat2)) * pow(sin(radians(lon2 - lon1) / 2), 2));
        create macro in_circle(lat, lon, center_lat, center_lon, radius_m) as
            abs(lat - center_lat) <= radius_m / 111195.0
            and distance_m(lat, lon, center_lat, center_lon) <= radius_m;
        create macro in_box(lat, lon, west, south, east, north) as lat between south and north
            and case when west <= east then lon between west and east else lon >= west or lon <= east end;

        """

    /// `report_time` is the time that decides a report's `date`; `in_period` lets the date decide first which files are
    /// opened. `bucket` and `date_trunc` work in UTC on the plain number of microseconds: with a time zone they are 170
    /// times slower. `date_trunc` is what people know to write, so it is DuckDB's own under its own name: the process's
    /// time zone is UTC, and the answers are the same.
    static let times = """
        create macro bucket(width, ts) as
            make_timestamptz(epoch_us(time_bucket(width::INTERVAL, make_timestamp(epoch_us(ts)))));
        create macro date_trunc(part, ts TIMESTAMPTZ) as case when isfinite(ts)
                then make_timestamptz(epoch_us(system.main.date_trunc(part, make_timestamp(epoch_us(ts))))) else ts end,
            (part, ts TIMESTAMP) as system.main.date_trunc(part, ts),
            (part, ts DATE) as system.main.date_trunc(part, ts),
            (part, ts INTERVAL) as system.main.date_trunc(part, ts);
        create macro delay_s(earlier, later) as epoch_us(later - earlier) / 1e6;
        create macro report_time(observed_at, received_at, time_suspect) as
            case when time_suspect then received_at else observed_at end;
        create macro in_period(date, observed_at, received_at, time_suspect, start, stop) as
            date between start::DATE and stop::DATE
            and report_time(observed_at, received_at, time_suspect) >= start
            and report_time(observed_at, received_at, time_suspect) < stop;

        """

    static let lists = """
        create macro lowest_peacescore(citizens) as list_min(list_transform(citizens, lambda c: c.peacescore));
        create macro has_word(words, word) as list_contains(words, word);
        create macro sees_person(citizens, person) as
            list_contains(list_transform(citizens, lambda c: c.person_id), person);

        """
}
