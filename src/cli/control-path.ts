/** Which control socket a command talks to. */
import { DEFAULT_CONTROL } from "../config/config.ts";
import type { Terminal } from "./terminal.ts";

export interface ControlOptions {
  /** `--control`. */
  readonly control?: string;
  /** `-c`. */
  readonly config?: string;
}

/** `--control`, else that of the configuration, else ESPALIER_CONTROL, else the default. */
export const controlPath = async ({ control, config }: ControlOptions, { environment }: Terminal): Promise<string> => {
  if (control !== undefined) return control;
  if (config !== undefined) return (await import("../config/load.ts")).loadConfig(config).control;
  return environment.ESPALIER_CONTROL || DEFAULT_CONTROL;
};
