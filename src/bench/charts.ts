/** Charts as SVG text, drawn by ECharts without a browser: readable on paper, without colours, and by who sees few of them. */
import type { EChartsOption, SeriesOption } from "echarts";

export interface ChartSeries {
  readonly name: string;
  /** Null: no value there. */
  readonly values: readonly (number | null)[];
  /** The least and the greatest sample of each value. */
  readonly spread?: readonly (readonly [number, number] | null)[];
  /** A limit or a prediction, not a measurement: dashed. */
  readonly isReference?: boolean;
  /** No line between its points, which are drawn around those of other series. */
  readonly isPoints?: boolean;
  /** The series that it is about, whose colour it has. */
  readonly of?: string;
  /** Number of its colour, where it is to have the same one in several charts; default its place among the series. */
  readonly colour?: number;
}

/** Values over a few names; `rows` are bars that lie one below the other, for many names or long ones. */
export interface CategoryChart {
  readonly kind: "lines" | "bars" | "rows";
  readonly categories: readonly string[];
  readonly xTitle: string;
  readonly yTitle: string;
  readonly series: readonly ChartSeries[];
  /** 1 is drawn as 100 %. */
  readonly isShare?: boolean;
  /** A vertical line at a category, and what it says. */
  readonly mark?: { readonly at: string; readonly text: string };
}

/** Points over numbers. */
export interface PointChart {
  readonly kind: "curves" | "points";
  readonly xTitle: string;
  readonly yTitle: string;
  readonly isXLog?: boolean;
  /** The y axis goes to 1, drawn as percent. */
  readonly isShare?: boolean;
  readonly series: readonly { readonly name: string; readonly points: readonly (readonly [number, number])[] }[];
}

export type Chart = CategoryChart | PointChart;

export const WIDTH = 860;
const PLOT = 300;
const TITLE_ROOM = 46;
const LEGEND_LINE = 40;
/** Width of a character, and of what is around the name, of a legend's entry: they decide how many lines there are. */
const CHARACTER = 7.2;
const ENTRY = 60;

/** Okabe and Ito's colours, which stay apart for all kinds of sight; the yellow, pale on paper, left out. */
const COLOURS = ["#0072b2", "#d55e00", "#009e73", "#cc79a7", "#56b4e9", "#e69f00", "#000000", "#999999"];
const SYMBOLS = ["circle", "rect", "triangle", "diamond", "emptyCircle", "emptyRect", "emptyTriangle"];
const AROUND = "path://M8 0 16 8 8 16 0 8Z M8 1.5 1.5 8 8 14.5 14.5 8Z"; // a diamond with nothing in it
const FONT = "Helvetica, Arial, sans-serif";
const INK = "#222";
const GRID = "#ddd";

/** How the numbers of an axis are written. Made where there is an axis: loading Intl's data takes 15 ms. */
const axisText = (isShare: boolean | undefined): ((value: number) => string) => {
  if (isShare === true) return (value) => `${Math.round(value * 100)} %`;
  const compact = new Intl.NumberFormat("en", { notation: "compact", maximumSignificantDigits: 3 });
  return (value) => (Math.abs(value) < 1 && value !== 0 ? `${value}` : compact.format(value));
};

const legendLines = (names: readonly string[]): number => {
  let lines = 1;
  let used = 0;
  for (const name of names) {
    const width = ENTRY + name.length * CHARACTER;
    if (used + width > WIDTH - 40) {
      lines++;
      used = 0;
    }
    used += width;
  }
  return lines;
};

const axis = (name: string) => ({
  name,
  nameLocation: "middle" as const,
  nameTextStyle: { color: INK, fontSize: 13, fontFamily: FONT },
  axisLabel: { color: INK, fontSize: 12, fontFamily: FONT },
  axisLine: { show: true, lineStyle: { color: INK } },
  splitLine: { lineStyle: { color: GRID } },
});

const whiskers = (series: ChartSeries, index: number, bars: number, slot: number): SeriesOption[] => {
  if (series.spread === undefined) return [];
  const data = series.spread.flatMap((range, at) => (range === null ? [] : [[at, range[0], range[1]]]));
  return [
    {
      type: "custom",
      name: series.name,
      silent: true,
      z: 5,
      itemStyle: { color: INK },
      data,
      encode: { x: 0, y: [1, 2] },
      renderItem: (_, api) => {
        const at = api.value(0) as number;
        const [, height = 0] = api.coord([at, api.value(2)]);
        const [x = 0, low = 0] = api.coord([at, api.value(1)]);
        const sized = api.size?.([1, 0]) ?? 0;
        const step = typeof sized === "number" ? sized : (sized[0] ?? 0);
        // Bars of one category stand side by side in the middle three quarters of its room.
        const centre = bars === 0 ? x : x + step * BAR_ROOM * ((slot + 0.5) / bars - 0.5);
        return whisker([centre, low], [centre, height], bars === 0 ? COLOURS[index % COLOURS.length]! : INK);
      },
    },
  ];
};

/** A line from one sample to another, with a short one across each end. */
const whisker = (from: readonly [number, number], to: readonly [number, number], stroke: string) => {
  const half = 4;
  const [across, along] = from[0] === to[0] ? [half, 0] : [0, half];
  const line = (x1: number, y1: number, x2: number, y2: number) => ({
    type: "line" as const,
    shape: { x1, y1, x2, y2 },
    style: { stroke, lineWidth: 1.2 },
  });
  const ends = [from, to].map(([x, y]) => line(x - across, y - along, x + across, y + along));
  return { type: "group" as const, children: [line(...from, ...to), ...ends] };
};

const BAR_ROOM = 0.76;

/** Height of a row, and the width of its name at most. */
const ROW = 22;
const NAME_ROOM = 300;

/** Bars of one series, the first at the top. */
const rowsOption = (chart: CategoryChart): EChartsOption => ({
  grid: {
    left: 20 + Math.min(NAME_ROOM, Math.max(...chart.categories.map(({ length }) => length)) * CHARACTER),
    right: 24,
    top: 12,
    height: chart.categories.length * ROW,
  },
  xAxis: {
    type: "value",
    min: 0,
    ...axis(chart.yTitle),
    nameGap: 30,
    axisLabel: { ...axis("").axisLabel, formatter: axisText(chart.isShare) },
  },
  yAxis: {
    type: "category",
    data: [...chart.categories],
    inverse: true,
    axisLabel: { ...axis("").axisLabel, interval: 0 },
    axisLine: axis("").axisLine,
  },
  series: chart.series.flatMap(({ name, values, spread = [] }): SeriesOption[] => [
    {
      type: "bar",
      name,
      data: values.map((value) => value ?? "-"),
      barCategoryGap: "30%",
      itemStyle: { color: COLOURS[0]! },
    },
    {
      type: "custom",
      name,
      silent: true,
      z: 5,
      data: spread.flatMap((range, at) => (range === null ? [] : [[range[0], range[1], at]])),
      encode: { x: [0, 1], y: 2 },
      renderItem: (_, api) => {
        const at = api.value(2) as number;
        const [low = 0, y = 0] = api.coord([api.value(0), at]);
        const [high = 0] = api.coord([api.value(1), at]);
        return whisker([low, y], [high, y], INK);
      },
    },
  ]),
});

/** Of the font's size, the mean width of a character: of a wide font, as there is no screen to ask. */
const WIDE = 0.6;

const categoryOption = (chart: CategoryChart, legend: object, top: number): EChartsOption => {
  const isBars = chart.kind === "bars";
  const drawn = chart.series.map((series, index): SeriesOption => {
    const about = chart.series.findIndex(({ name }) => name === series.of);
    const colour = COLOURS[(series.colour ?? (about < 0 ? index : about)) % COLOURS.length]!;
    const data = series.values.map((value) => value ?? "-");
    const mark =
      index === 0 && chart.mark !== undefined
        ? {
            markLine: {
              silent: true,
              symbol: "none",
              lineStyle: { color: INK, type: "dotted" as const },
              label: { formatter: chart.mark.text, align: "left" as const, color: INK, fontFamily: FONT, fontSize: 12 },
              data: [{ xAxis: chart.mark.at }],
            },
          }
        : {};
    if (isBars)
      return {
        type: "bar",
        name: series.name,
        data,
        barCategoryGap: `${Math.round((1 - BAR_ROOM) * 100)}%`,
        barGap: "0%",
        itemStyle: { color: colour, borderColor: "#fff", borderWidth: 1 },
        ...mark,
      };
    return {
      type: "line",
      name: series.name,
      data,
      connectNulls: true,
      symbol:
        series.isReference === true ? "none" : series.isPoints === true ? AROUND : SYMBOLS[index % SYMBOLS.length]!,
      symbolSize: series.isPoints === true ? 16 : 8,
      itemStyle: { color: colour },
      lineStyle: {
        color: colour,
        width: series.isPoints === true ? 0 : 2,
        type: series.isReference === true ? "dashed" : "solid",
      },
      ...mark,
    };
  });
  const bars = isBars ? chart.series.length : 0;
  return {
    legend,
    grid: { left: 70, right: 24, top, height: PLOT },
    xAxis: { type: "category", data: [...chart.categories], boundaryGap: isBars, ...axis(chart.xTitle), nameGap: 30 },
    yAxis: {
      type: "value",
      min: 0,
      ...axis(chart.yTitle),
      nameGap: 52,
      axisLabel: { ...axis("").axisLabel, formatter: axisText(chart.isShare) },
    },
    series: [...drawn, ...chart.series.flatMap((series, index) => whiskers(series, index, bars, index))],
  };
};

const pointOption = (chart: PointChart, legend: object, top: number): EChartsOption => ({
  legend,
  grid: { left: 70, right: 24, top, height: PLOT },
  xAxis: {
    type: chart.isXLog === true ? "log" : "value",
    ...axis(chart.xTitle),
    nameGap: 30,
    axisLabel: { ...axis("").axisLabel, formatter: axisText(false) },
  },
  yAxis: {
    type: "value",
    min: 0,
    ...(chart.isShare === true ? { max: 1 } : {}),
    ...axis(chart.yTitle),
    nameGap: 52,
    axisLabel: { ...axis("").axisLabel, formatter: axisText(chart.isShare) },
  },
  series: chart.series.map(({ name, points }, index): SeriesOption => {
    const colour = COLOURS[index % COLOURS.length]!;
    const drawn = {
      name,
      data: points.map(([x, y]) => [x, y]),
      symbol: SYMBOLS[index % SYMBOLS.length]!,
      itemStyle: { color: colour },
    };
    return chart.kind === "points"
      ? { ...drawn, type: "scatter", symbolSize: 9 }
      : {
          ...drawn,
          type: "line",
          symbolSize: 5,
          lineStyle: { color: colour, width: 2, type: index < COLOURS.length ? "solid" : "dotted" },
        };
  }),
});

/** One `<svg>` element. ECharts is loaded when the first chart is drawn. */
export const drawChart = async (chart: Chart): Promise<string> => {
  const { init, setPlatformAPI } = await import("echarts");
  setPlatformAPI({
    measureText: (text, font = "12px") => ({
      width: text.length * Number.parseFloat(/[\d.]+(?=px)/.exec(font)?.[0] ?? "12") * WIDE,
    }),
  });
  const names = chart.series.map(({ name }) => name);
  const lines = legendLines(names);
  const top = lines * LEGEND_LINE;
  const isRows = chart.kind === "rows";
  const height = isRows ? 12 + chart.categories.length * ROW + TITLE_ROOM : top + PLOT + TITLE_ROOM;
  const legend = {
    data: names,
    top: 0,
    left: 10,
    type: "plain",
    itemGap: 24,
    textStyle: { color: INK, fontFamily: FONT, fontSize: 12 },
  };
  const canvas = init(null, null, { renderer: "svg", ssr: true, width: WIDTH, height });
  const option =
    "categories" in chart
      ? isRows
        ? rowsOption(chart)
        : categoryOption(chart, legend, top)
      : pointOption(chart, legend, top);
  canvas.setOption({ animation: false, backgroundColor: "#fff", textStyle: { fontFamily: FONT }, ...option });
  const svg = canvas.renderToSVGString();
  canvas.dispose();
  return svg;
};
