/** Numbers for people. */

const PREFIXES = ["", "k", "M", "G", "T", "P"] as const;

/** Three digits and a decimal prefix: `12.3 M`. */
const scaled = (value: number): string => {
  let left = value;
  let step = 0;
  while (left >= 999.5 && step < PREFIXES.length - 1) {
    left /= 1000;
    step++;
  }
  const digits = step === 0 || left >= 99.95 ? 0 : left >= 9.995 ? 1 : 2;
  return `${left.toFixed(digits)} ${PREFIXES[step]}`;
};

/** `999 B`, `1.50 kB`, `12.3 GB`. */
export const octets = (value: number): string => `${scaled(value)}B`;

/** `999`, `1.50 k`, `12.3 M`. */
export const packets = (value: number): string => scaled(value).trimEnd();

const SPANS: readonly (readonly [string, number])[] = [
  ["d", 86_400],
  ["h", 3600],
  ["min", 60],
  ["s", 1],
];

/** The largest units, two of them by default, of a number of seconds: `2 h 3 min`; `now` when it is over. */
export const span = (seconds: number, units = 2): string => {
  const whole = Math.floor(seconds);
  if (whole <= 0) return "now";
  const first = SPANS.findIndex(([, size]) => whole >= size);
  let left = whole;
  const parts: string[] = [];
  for (const [unit, size] of SPANS.slice(first, first + units)) {
    const count = Math.floor(left / size);
    if (count > 0) parts.push(`${count} ${unit}`);
    left -= count * size;
  }
  return parts.join(" ");
};
