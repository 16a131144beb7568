/** `espalier run`: a gateway in the foreground, until a signal ends it. */
import type { Command } from "commander";
import { formatComplaint } from "../config/config-error.ts";
import { loadConfig } from "../config/load.ts";
import { createLog } from "../control/log.ts";
import { createGateway } from "../gateway.ts";

const SIGNALS = ["SIGTERM", "SIGINT"] as const;

export const addRun = (program: Command): void => {
  program
    .command("run")
    .description("run a gateway in the foreground; SIGTERM or SIGINT ends it and deletes its SAs at the peers")
    .requiredOption("-c, --config <file>", "configuration file")
    .action(async ({ config: file }: { config: string }, command: Command) => {
      const { control } = command.optsWithGlobals<{ control?: string }>();
      const config = loadConfig(file);
      const log = createLog(config.log);
      for (const warning of config.warnings)
        log.write({ level: "warn", event: "config-warning", message: formatComplaint(file, warning) });
      await runUntilSignal(await createGateway(control === undefined ? config : { ...config, control }, { log }));
    });
};

interface Runs {
  start(): Promise<void>;
  stop(): Promise<void>;
  readonly closed: Promise<void>;
}

/** The first signal stops the gateway in order, also while it starts; a second one ends the process at once. */
export const runUntilSignal = async (gateway: Runs): Promise<void> => {
  let signalled = false;
  let asked: () => void = () => {};
  const stopAsked = new Promise<void>((resolve) => {
    asked = resolve;
  });
  const onSignal = (signal: NodeJS.Signals): void => {
    if (signalled) process.exit(signal === "SIGINT" ? 130 : 143); // 128 + number of the signal, as shells tell it
    signalled = true;
    asked();
  };
  for (const signal of SIGNALS) process.on(signal, onSignal);
  const ended = Promise.race([stopAsked, gateway.closed]);
  try {
    await Promise.all([gateway.start(), ended]);
  } catch (error) {
    await Promise.allSettled([gateway.stop()]); // what went wrong first is what is told
    throw error;
  }
  await gateway.stop();
  for (const signal of SIGNALS) process.off(signal, onSignal);
};
