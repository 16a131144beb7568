/** Tables without lines, as the commands print them. */
import Table from "cli-table3";
import pc from "picocolors";

export interface Column {
  readonly title: string;
  /** Numbers stand at the right. */
  readonly right?: boolean;
}

/** Text without a final newline. */
export const plainTable = (
  columns: readonly Column[],
  rows: readonly (readonly string[])[],
  { colour }: { readonly colour: boolean },
): string => {
  const paint = pc.createColors(colour);
  const table = new Table({
    head: columns.map(({ title }) => paint.dim(title)),
    colAligns: columns.map(({ right }) => (right === true ? "right" : "left")),
    chars: BORDERLESS,
    style: { head: [], border: [], "padding-left": 0, "padding-right": 2 },
  });
  table.push(...rows.map((row) => [...row]));
  return table
    .toString()
    .split("\n")
    .map((line) => line.trimEnd())
    .join("\n");
};

const BORDERLESS = Object.fromEntries(
  [
    ["top", "top-mid", "top-left", "top-right", "bottom", "bottom-mid", "bottom-left", "bottom-right"],
    ["left", "left-mid", "mid", "mid-mid", "right", "right-mid", "middle"],
  ].flatMap((names) => names.map((name) => [name, ""] as const)),
);
