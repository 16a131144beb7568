/** Durations as users write them: `30s`, `500ms`, `1h`, `1h30m`, or a number of seconds. */

const UNITS: readonly (readonly [string, number])[] = [
  ["d", 86_400_000],
  ["h", 3_600_000],
  ["m", 60_000],
  ["s", 1000],
  ["ms", 1],
];

const WHOLE = /^(?:\d+(?:\.\d+)?(?:ms|[smhd]))+$/;
const PART = /(\d+(?:\.\d+)?)(ms|[smhd])/g;

/** Milliseconds, or undefined when it is no duration. A number without unit counts seconds. */
export const parseDuration = (value: unknown): number | undefined => {
  if (typeof value === "number") return Number.isFinite(value) && value >= 0 ? Math.round(value * 1000) : undefined;
  if (typeof value !== "string") return undefined;
  const text = value.trim();
  if (/^\d+(\.\d+)?$/.test(text)) return parseDuration(Number(text));
  if (!WHOLE.test(text)) return undefined;
  let total = 0;
  for (const [, number, unit] of text.matchAll(PART)) total += Number(number) * (sizeOf(unit) ?? 0);
  return Math.round(total);
};

/** The shortest exact text: `1h`, `1h30m`, `500ms`. */
export const formatDuration = (milliseconds: number): string => {
  let left = Math.round(milliseconds);
  if (left === 0) return "0s";
  let text = "";
  for (const [unit, size] of UNITS) {
    const count = Math.floor(left / size);
    if (count > 0) text += `${count}${unit}`;
    left -= count * size;
  }
  return text;
};

const sizeOf = (unit: string | undefined): number | undefined => UNITS.find(([name]) => name === unit)?.[1];
