/** Signals that end a measurement: what it has made is removed first. */

const SIGNALS = ["SIGINT", "SIGTERM", "SIGHUP"] as const;

/**
 * A signal lets `act` clean up; then it ends this process as it would have without. After `enough` the process goes on, with
 * what `act` has. Further ones change nothing until `act` is done.
 */
export const untilSignal = async <T>(
  act: (signal: AbortSignal) => Promise<T>,
  enough?: NodeJS.Signals,
  end = (signal: NodeJS.Signals): unknown => process.kill(process.pid, signal),
): Promise<T> => {
  const abort = new AbortController();
  let got: NodeJS.Signals | undefined;
  const onSignal = (signal: NodeJS.Signals): void => {
    if (signal !== enough) got ??= signal;
    abort.abort(new Error(`ended by ${signal}`));
  };
  for (const signal of SIGNALS) process.on(signal, onSignal);
  try {
    return await act(abort.signal);
  } finally {
    for (const signal of SIGNALS) process.off(signal, onSignal);
    if (got !== undefined) end(got);
  }
};
