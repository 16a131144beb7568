/** `espalier bench report`: one page of plots that needs nothing else, its charts as SVG files, its tables as Markdown. */

import { drawChart } from "./charts.ts";
import { busyDoubts } from "./doubts.ts";
import { espFigures } from "./esp-figures.ts";
import { modelFigures } from "./model-figures.ts";
import { type NamedResult, plainFigures, type ReportFigure, rowsOf } from "./report-figures.ts";
import { tunnelFigures } from "./tunnel-figures.ts";

export interface Report {
  /** One self-contained HTML page. */
  readonly html: string;
  /** SVG text by the name of its file. */
  readonly svg: ReadonlyMap<string, string>;
  readonly markdown: string;
}

const escaped = (text: string): string =>
  text.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;").replaceAll('"', "&quot;");

export const figuresOf = (results: readonly NamedResult[]): ReportFigure[] => {
  const esp = rowsOf(results, "esp");
  const processors = results.find(({ result }) => result.kind === "esp")?.result.machine.processors ?? 1;
  return [
    ...espFigures(esp),
    ...tunnelFigures(rowsOf(results, "tunnel")),
    ...plainFigures(rowsOf(results, "ike"), "ike", "IKE a second"),
    ...plainFigures(rowsOf(results, "idle"), "idle", "Of a processor, for tunnels that nobody uses"),
    ...plainFigures(rowsOf(results, "spd"), "spd", "Policy lookups a second"),
    ...plainFigures(rowsOf(results, "sad"), "sad", "SA table operations a second"),
    ...plainFigures(rowsOf(results, "tune"), "tune", "Settings that tune measured"),
    ...modelFigures(esp, rowsOf(results, "tunnel"), processors),
  ];
};

export const makeReport = async (results: readonly NamedResult[]): Promise<Report> => {
  const figures = figuresOf(results);
  const svg = new Map<string, string>();
  for (const { id, chart } of figures) svg.set(`${id}.svg`, await drawChart(chart));
  return { html: page(results, figures, svg), svg, markdown: markdownOf(results, figures) };
};

const sourceOf = ({ name, result }: NamedResult): string[] => [
  name,
  `bench ${result.kind}`,
  result.began.slice(0, 16).replace("T", " "),
  `${result.machine.processor}, ${result.machine.processors} processors`,
  `espalier ${result.versions["espalier"] ?? "?"} (${result.versions["build"] ?? "?"}), Node ${result.versions["node"] ?? "?"}, Linux ${result.versions["linux"] ?? "?"}`,
  `${result.load.before.toFixed(2)} / ${result.load.after.toFixed(2)}`,
  result.load.others === undefined ? "not known" : `${result.load.others.toFixed(2)} processors`,
  floorText(result.rows.map(({ floorPercent }) => floorPercent)),
];

const SOURCE_HEAD = [
  "file",
  "command",
  "UTC",
  "machine",
  "versions",
  "load before / after",
  "others meanwhile",
  "noise floor",
];

/** The median and the greatest of the rows' noise floors. */
const floorText = (floors: readonly (number | null)[]): string => {
  const known = floors.filter((floor): floor is number => floor !== null).sort((a, b) => a - b);
  if (known.length === 0) return "not known";
  return `${known[known.length >> 1]!.toFixed(1)} %, at most ${known.at(-1)!.toFixed(1)} %`;
};

const warningsOf = (results: readonly NamedResult[]): string[] => {
  const notes = [...new Set(results.flatMap(({ result }) => result.notes))];
  const of = (note: string): string =>
    results
      .filter(({ result }) => result.notes.includes(note))
      .map(({ name }) => name)
      .join(", ");
  return [
    ...results.flatMap(({ name, result }) => busyDoubts(result, name)),
    ...notes.map((note) => `${of(note)}: ${note}`),
  ];
};

const tableHtml = (head: readonly string[], rows: readonly (readonly string[])[]): string => {
  const cells = (tag: string, words: readonly string[]): string =>
    words.map((word, i) => `<${tag}${i > 0 && isNumeric(word) ? ' class="n"' : ""}>${escaped(word)}</${tag}>`).join("");
  return `<div class="scroll"><table><thead><tr>${cells("th", head)}</tr></thead><tbody>${rows
    .map((row) => `<tr>${cells("td", row)}</tr>`)
    .join("")}</tbody></table></div>`;
};

const isNumeric = (word: string): boolean => /^[-+]?[\d,.]+( ?%)?$/.test(word) || word === "-";

const STYLE = `
:root { color-scheme: light; }
* { box-sizing: border-box; }
body { margin: 0 auto; max-width: 960px; padding: 24px; font: 15px/1.5 Helvetica, Arial, sans-serif; color: #222; background: #fff; }
h1 { font-size: 26px; margin: 0 0 4px; }
h2 { font-size: 19px; margin: 0 0 4px; }
section { margin: 32px 0; border-top: 1px solid #ccc; padding-top: 16px; }
p { margin: 4px 0 12px; max-width: 46em; }
svg { display: block; width: 100%; height: auto; }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; font-size: 13px; margin: 8px 0; }
th, td { text-align: left; padding: 3px 10px 3px 0; border-bottom: 1px solid #e3e3e3; vertical-align: top; }
th { font-weight: bold; border-bottom-color: #999; }
td.n { text-align: right; font-variant-numeric: tabular-nums; white-space: nowrap; }
th + th { text-align: right; }
.sources th { text-align: left; }
nav a { color: #0072b2; margin-right: 14px; white-space: nowrap; }
.beware { border-left: 4px solid #d55e00; padding-left: 12px; }
@page { margin: 14mm; }
@media print {
  body { padding: 0; max-width: none; font-size: 10.5pt; }
  nav { display: none; }
  section { break-inside: avoid; margin: 12px 0; padding-top: 8px; }
  svg { max-height: 72mm; }
  .tall { break-inside: auto; }
  .tall svg { max-height: 230mm; }
  p { max-width: none; margin: 2px 0 6px; }
  th, td { padding: 1px 8px 1px 0; }
  .scroll { overflow: visible; }
  table { font-size: 8.5pt; }
}`;

const page = (
  results: readonly NamedResult[],
  figures: readonly ReportFigure[],
  svg: ReadonlyMap<string, string>,
): string => {
  const warnings = warningsOf(results);
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>espalier: what was measured</title>
<style>${STYLE}</style>
</head>
<body>
<h1>What was measured</h1>
<p>${results.length} ${results.length === 1 ? "result" : "results"} of <code>espalier bench</code>, ${figures.length} figures, each with its numbers below it.</p>
<nav>${figures.map(({ id, title }) => `<a href="#${id}">${escaped(title)}</a>`).join(" ")}</nav>
${warnings.length === 0 ? "" : `<div class="beware">${warnings.map((warning) => `<p>${escaped(warning)}</p>`).join("")}</div>`}
${figures
  .map(
    ({ id, title, text, chart, head, rows }) => `<section id="${id}"${chart.kind === "rows" ? ' class="tall"' : ""}>
<h2>${escaped(title)}</h2>
<p>${escaped(text)}</p>
${svg.get(`${id}.svg`) ?? ""}
${tableHtml(head, rows)}
</section>`,
  )
  .join("\n")}
<section class="sources" id="sources">
<h2>Where it comes from</h2>
<p>Noise floor: by how much two runs of the same side differ, the median and the greatest of the rows. Less than that is no difference.</p>
${tableHtml(SOURCE_HEAD, results.map(sourceOf))}
</section>
</body>
</html>
`;
};

const tableMarkdown = (head: readonly string[], rows: readonly (readonly string[])[]): string => {
  const line = (words: readonly string[]): string =>
    `| ${words.map((word) => word.replaceAll("|", "\\|")).join(" | ")} |`;
  return [line(head), line(head.map((_, i) => (i === 0 ? "---" : "---:"))), ...rows.map(line)].join("\n");
};

const markdownOf = (results: readonly NamedResult[], figures: readonly ReportFigure[]): string => {
  const parts = figures.map(({ title, text, head, rows }) => `## ${title}\n\n${text}\n\n${tableMarkdown(head, rows)}`);
  const sources = `## Where it comes from\n\n${tableMarkdown(SOURCE_HEAD, results.map(sourceOf))}`;
  const warnings = warningsOf(results).map((warning) => `- ${warning}`);
  const beware = warnings.length === 0 ? [] : [`Beware:\n\n${warnings.join("\n")}`];
  return `${["# What was measured", ...beware, ...parts, sources].join("\n\n")}\n`;
};
