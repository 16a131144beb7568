/** The library. TEMPORARY on this branch: the gateway itself comes with src/gateway.ts. */
import type { Config } from "./config/config.ts";
import type { Log } from "./control/log.ts";
import type { GatewayStatus } from "./control/status.ts";
import { EspalierError } from "./errors.ts";

export type { Child, Complaint, Config, Connection, InterfaceSettings, LogSettings } from "./config/config.ts";
export { describeConfig } from "./config/describe.ts";
export { ConfigError, formatComplaint, loadConfig, parseConfig } from "./config/load.ts";
export { DEFAULT_CONTROL } from "./config/schema.ts";
export { callControl } from "./control/client.ts";
export { createLog, type Log, type LogEntry } from "./control/log.ts";
export type {
  ChildSaReport,
  ConnectionReport,
  Counters,
  GatewayStatus,
  IkeSaReport,
  WorkerReport,
} from "./control/status.ts";
export { VERSION } from "./control/version.ts";
export { type ErrorCode, EspalierError } from "./errors.ts";

export interface Gateway {
  start(): Promise<void>;
  stop(): Promise<void>;
  status(): GatewayStatus;
  readonly closed: Promise<void>;
}

export const createGateway = async (_config: Config | string, _options: { log?: Log } = {}): Promise<Gateway> => {
  throw new EspalierError("ESPALIER_PLATFORM", "this build has no gateway");
};
