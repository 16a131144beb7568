/** The library: everything a program may build on. The command line uses nothing else, from the files themselves. */
export { parseComparable } from "./bench/bare-rows.ts";
export type { BenchKind } from "./bench/bench-kind.ts";
export { type ComparedRow, type Comparison, compareResults } from "./bench/compare.ts";
export { benchEsp } from "./bench/esp.ts";
export type { EspBenchOptions, EspBenchRow, EspDirection } from "./bench/esp-rows.ts";
export { benchIke } from "./bench/ike.ts";
export {
  benchIdle,
  type IdleBenchOptions,
  type IdleBenchResult,
  type IdleBenchRow,
  type IdleSide,
  idleRows,
} from "./bench/ike-idle.ts";
export type { IkeWork } from "./bench/ike-load.ts";
export type { IkeBenchOptions, IkeBenchRow, IkeTransport } from "./bench/ike-rows.ts";
export { IMIX, type PacketSize } from "./bench/inner-packets.ts";
export { describeMachine, loadAverage } from "./bench/machine.ts";
export { makeReport, type Report } from "./bench/report.ts";
export { type BenchResult, beginResult, type Comparable, type FlatRow, parseResult } from "./bench/result.ts";
export { benchSad, type SadBenchOptions, type SadBenchRow } from "./bench/sad.ts";
export { benchSpd, type SpdBenchOptions, type SpdBenchRow } from "./bench/spd.ts";
export { type TuneOptions, type TuneResult, type TuneValues, tune } from "./bench/tune.ts";
export { benchTunnel, peerUnavailable, type TunnelBenchResult } from "./bench/tunnel.ts";
export type { TunnelBenchOptions, TunnelPeer } from "./bench/tunnel-options.ts";
export { measureInTurns } from "./bench/turns.ts";
export { type AppliedSettings, applySettings } from "./config/apply-settings.ts";
export {
  type Child,
  type Complaint,
  type Config,
  type Connection,
  DEFAULT_CONTROL,
  type InterfaceSettings,
  type LogSettings,
} from "./config/config.ts";
export { ConfigError, formatComplaint } from "./config/config-error.ts";
export { describeConfig } from "./config/describe.ts";
export { loadConfig, parseConfig } from "./config/load.ts";
export { callControl } from "./control/client.ts";
export { createLog, type Log, type LogEntry } from "./control/log.ts";
export type {
  ChildReport,
  ChildSaReport,
  ConnectionReport,
  Counters,
  GatewayStatus,
  IkeSaReport,
  InterfaceReport,
  Traffic,
  WorkerReport,
} from "./control/status.ts";
export { VERSION } from "./control/version.ts";
export type { EngineName } from "./crypto/engine.ts";
export { SUITES, type Suite, suiteByName } from "./crypto/suites.ts";
export { EspSession, type EspSessionOptions, type Opened } from "./dataplane/esp-session.ts";
export { type ErrorCode, EspalierError } from "./errors.ts";
export { describeEngines } from "./gateway/engines.ts";
export { createGateway, type Gateway, type GatewayOptions } from "./gateway.ts";
