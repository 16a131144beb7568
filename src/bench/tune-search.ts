/**
 * The best of many settings, within a budget of time: screens, then finalists.
 *
 * Screening measures each settings once, and looks first where the most is to be had: it begins with what is configured,
 * takes one setting after the other, of each the best value so far, and then goes from the best ones to those that differ
 * from them in one thing, until none of them is new. The finalists, the best few, are then measured in turns for the rest
 * of the time, so that a drift of the machine hits all of them. `tune-choice.ts` says which is taken.
 */
import { mean } from "./statistics.ts";
import { chosenOf, screened, type TuneChoice, type TuneFound, type TuneSample } from "./tune-choice.ts";
import {
  allCandidates,
  type Candidate,
  keyOf,
  neighboursOf,
  type TuneSpace,
  variantsOf,
  wordsOf,
} from "./tune-space.ts";

export interface TuneOutcome extends TuneChoice {
  /** All settings were measured, or it ended because the time was over, or because it was told to. */
  readonly ended: "all" | "budget" | "stopped";
}

export interface TuneBudget {
  /** ms on any clock. */
  readonly now: () => number;
  readonly ms: number;
  /** Aborted: end with what there is. */
  readonly signal?: AbortSignal;
  /** Measure all settings, not those alone that the search leads to. */
  readonly isExhaustive?: boolean;
  readonly onProgress?: (share: number, what: string) => void;
}

const FINALISTS = 3;
const ROUNDS = 8;
/** Of the time, for screening; and when all are to be measured. */
const SCREENING = 0.6;
const SCREENING_ALL = 0.8;
/** So many settings fail and none can be measured: then none will. */
const HOPELESS = 3;

interface Entry extends TuneFound {
  readonly samples: TuneSample[];
  failed: string | null;
}

/**
 * `measure` gets the ms that are left. Settings at which it rejects are left out from then on and have the reason in the
 * outcome. Rejects with what `measure` rejected with first when that was all there is.
 */
export const searchSettings = async (
  space: TuneSpace,
  budget: TuneBudget,
  measure: (candidate: Candidate, left: number) => Promise<TuneSample>,
): Promise<TuneOutcome> => {
  const begin = budget.now();
  const spent = (): number => budget.now() - begin;
  const known = new Map<string, Entry>();
  const durations: number[] = [];
  const failures: unknown[] = [];
  let stopped = false;

  const isAborted = (): boolean => budget.signal?.aborted ?? false;
  const isKnown = (candidate: Candidate): boolean => known.has(keyOf(candidate));
  /** False when there is no time for one more. */
  const sample = async (candidate: Candidate, until: number, what = wordsOf(candidate)): Promise<boolean> => {
    if (stopped || isAborted() || (known.size > 0 && spent() + Math.max(0, ...durations) > until)) return false;
    budget.onProgress?.(spent() / budget.ms, what);
    const from = budget.now();
    const entry = known.get(keyOf(candidate)) ?? { candidate, samples: [], failed: null };
    try {
      entry.samples.push(await measure(candidate, budget.ms - spent()));
      durations.push(budget.now() - from);
    } catch (error) {
      stopped = isAborted();
      if (stopped) return false;
      entry.failed = error instanceof Error ? error.message : String(error);
      failures.push(error);
      if (durations.length === 0 && failures.length >= HOPELESS) throw failures[0];
    }
    known.set(keyOf(candidate), entry);
    return true;
  };

  // Screening.
  const isExhaustive = budget.isExhaustive === true;
  const screenUntil = budget.ms * (isExhaustive ? SCREENING_ALL : SCREENING);
  let isComplete = await sample(space.start, screenUntil);
  const screen = async (candidates: readonly Candidate[]): Promise<void> => {
    for (const candidate of candidates)
      if (!isKnown(candidate) && !(await sample(candidate, screenUntil))) isComplete = false;
  };
  if (isExhaustive) await screen(allCandidates(space));
  else {
    for (const name of Object.keys(space.values))
      await screen(variantsOf(screened(known.values())[0]?.candidate ?? space.start, name, space));
    for (const visited = new Set<Candidate>(); isComplete; ) {
      const from = screened(known.values())
        .slice(0, FINALISTS)
        .find(({ candidate }) => !visited.has(candidate));
      if (from === undefined) break;
      visited.add(from.candidate);
      await screen(neighboursOf(from.candidate, space));
    }
  }
  if (durations.length === 0) throw failures[0] ?? budget.signal?.reason;

  // Finalists, in turns: whole rounds alone can be compared.
  const finalists = screened(known.values()).slice(0, FINALISTS);
  let rounds = 0;
  for (let going = true; going && rounds < ROUNDS; rounds += going ? 1 : 0) {
    const able = finalists.filter(({ failed }) => failed === null);
    going = able.length > 0 && spent() + able.length * mean(durations) <= budget.ms;
    for (const { candidate } of rounds % 2 === 0 ? able : able.toReversed())
      going &&= await sample(candidate, budget.ms, `finals, round ${rounds + 1}: ${wordsOf(candidate)}`);
  }
  if (screened(known.values()).length === 0) throw failures[0];

  stopped ||= isAborted();
  return {
    ...chosenOf(known.values(), new Set(finalists.map(({ candidate }) => candidate)), space),
    ended: stopped ? "stopped" : isComplete && rounds === ROUNDS ? "all" : "budget",
  };
};
