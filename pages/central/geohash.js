// Geohash cells on the map: which length fits a scale, and which cell a point is in.

const digits = "0123456789bcdefghjkmnpqrstuvwxyz";

/** Degrees of longitude that a cell of so many characters is wide. */
export function cellWidth(length) {
  return 360 / 2 ** Math.ceil((5 * length) / 2);
}

/** The finest cells that are still at least so many pixels wide. */
export function lengthFor(pixelsPerDegree, smallestPixels, longest = 8) {
  for (let length = longest; length > 1; length -= 1) {
    if (cellWidth(length) * pixelsPerDegree >= smallestPixels) return length;
  }
  return 1;
}

export function geohash(latitude, longitude, length) {
  const ranges = [[-180, 180], [-90, 90]];
  const values = [longitude, latitude];
  let text = "";
  let digit = 0;
  for (let bit = 0; bit < 5 * length; bit += 1) {
    const range = ranges[bit % 2];
    const middle = (range[0] + range[1]) / 2;
    const isUpper = values[bit % 2] >= middle;
    range[isUpper ? 0 : 1] = middle;
    digit = digit * 2 + (isUpper ? 1 : 0);
    if (bit % 5 === 4) {
      text += digits[digit];
      digit = 0;
    }
  }
  return text;
}
