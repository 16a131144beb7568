/** Settings that may be combined, and the ways from one combination to others. */

/** Names of settings and their values. */
export type Candidate = Readonly<Record<string, string | number>>;

export interface TuneSpace {
  /** Of each setting its values, the cheapest first; the settings that decide the most first. */
  readonly values: Readonly<Record<string, readonly (string | number)[]>>;
  /** Where to begin. */
  readonly start: Candidate;
  /** Settings in the order in which they make a gateway dear; default: that of `values`. */
  readonly dearest?: readonly string[];
  /** Combinations that make no sense are false. */
  readonly isPossible?: (candidate: Candidate) => boolean;
}

/** The same for the same settings, whatever their order. */
export const keyOf = (candidate: Candidate): string => JSON.stringify(Object.entries(candidate).sort());

export const wordsOf = (candidate: Candidate): string =>
  Object.entries(candidate)
    .map(([name, value]) => `${name} ${value}`)
    .join(", ");

/** All combinations. */
export const allCandidates = ({ values, isPossible = () => true }: TuneSpace): Candidate[] =>
  Object.entries(values)
    .reduce<Candidate[]>(
      (candidates, [name, of]) =>
        candidates.flatMap((candidate) => of.map((value) => ({ ...candidate, [name]: value }))),
      [{}],
    )
    .filter(isPossible);

/** With each value of one setting. */
export const variantsOf = (
  candidate: Candidate,
  name: string,
  { values, isPossible = () => true }: TuneSpace,
): Candidate[] => (values[name] ?? []).map((value) => ({ ...candidate, [name]: value })).filter(isPossible);

/** That differ from it in one setting: those of the setting that is named first, first. */
export const neighboursOf = (candidate: Candidate, space: TuneSpace): Candidate[] =>
  Object.keys(space.values).flatMap((name) => variantsOf(candidate, name, space));

/** A greater number is dearer: the dearest setting decides, then the next. */
export const priceOf = (candidate: Candidate, { values, dearest }: TuneSpace): number =>
  (dearest ?? Object.keys(values)).reduce((sum, name) => {
    const of = values[name] ?? [];
    return sum * of.length + of.indexOf(candidate[name]!);
  }, 0);
