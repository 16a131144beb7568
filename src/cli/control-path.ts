/** Which control socket a command talks to. */
import { DEFAULT_CONTROL, loadConfig } from "../index.ts";
import type { Terminal } from "./terminal.ts";

export interface ControlOptions {
  /** `--control`. */
  readonly control?: string;
  /** `-c`. */
  readonly config?: string;
}

/** `--control`, else that of the configuration, else ESPALIER_CONTROL, else the default. */
export const controlPath = ({ control, config }: ControlOptions, { environment }: Terminal): string => {
  if (control !== undefined) return control;
  if (config !== undefined) return loadConfig(config).control;
  return environment.ESPALIER_CONTROL || DEFAULT_CONTROL;
};
