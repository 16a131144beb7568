/** Why these settings: what was learnt of the others, in words. */
import { scoreOf, type TuneChoice, type TuneMeasured, WORTHLESS } from "./tune-choice.ts";

const percent = (share: number): string => `${share < 0 ? "" : "+"}${(share * 100).toFixed(0)} %`;

/** By whole rounds of the finals when both were in them, else by the first sample of each; and which of it. */
const against = (other: TuneMeasured, best: TuneMeasured): string => {
  if (other.failed !== null) return "failed";
  const inRounds = best.counted.length < best.scores.length;
  if (inRounds && other.isFinalist && best.isFinalist) return percent(other.score / best.score - 1);
  const first = (of: TuneMeasured): number => scoreOf(of.samples[0]!);
  return first(best) > 0 ? `${percent(first(other) / first(best) - 1)}, one sample each` : "more in one sample";
};

/** The best that each other value of each setting came to, against the chosen one; and what was chosen for its price. */
export const reasonsOf = ({ best, measured, noise }: TuneChoice, processors: number): string[] => {
  if (best.score <= 0)
    return ["no settings came to a score above 0: too much was lost or late to say which is the best"];
  const reasons = Object.entries(best.candidate).flatMap(([name, chosen]) => {
    const others = [...new Set(measured.map(({ candidate }) => candidate[name]!))].filter((value) => value !== chosen);
    const compared = others.map((value) => {
      const top = measured.find(({ candidate }) => candidate[name] === value)!;
      const many = name === "workers" && Number(value) > processors ? `, more than the ${processors} processors` : "";
      return `${value}${many}: ${against(top, best)}`;
    });
    return compared.length === 0 ? [] : [`${name} ${chosen}; the best with ${compared.join("; with ")}`];
  });
  const first = measured[0]!;
  if (first === best) return reasons;
  const more = first.score / best.score - 1;
  const why = noise !== null && more <= noise ? "not told apart from it" : `less than ${WORTHLESS * 100} % more`;
  return [...reasons, `another came to +${(more * 100).toFixed(1)} %, ${why}: the cheaper one was chosen`];
};
