/** What the sans-I/O core asks its shell to do, in this order. */
import type { KeyWork } from "../crypto/key-work.ts";
import type { ChildSaParams, Path } from "./child-sa-params.ts";

export type { ChildSaParams, Path };

export type LogLevel = "debug" | "info" | "warn" | "error";
export type LogFields = Readonly<Record<string, string | number | boolean>>;

export type Effect =
  /** One IKE message. The shell puts the non-ESP marker in front when the local port is the NAT-T port. */
  | { readonly kind: "send"; readonly path: Path; readonly bytes: Uint8Array }
  /** One octet 0xff without a marker: keeps a NAT's mapping (RFC 3948 §4). */
  | { readonly kind: "keepalive"; readonly path: Path }
  /**
   * Inbound SA live at once, outbound SA installed. `now`: traffic of its child and resource moves to it at once.
   * `when-told`: what the peer rekeyed goes on using the old pair until `use` comes (no gap: RFC 7296 §2.8).
   */
  | { readonly kind: "install"; readonly child: ChildSaParams; readonly use: "now" | "when-told" }
  /** From now on send on this pair what its child and resource send. */
  | { readonly kind: "use"; readonly spiIn: number }
  /** Both SAs of the pair. A resource without one sends on the fallback; without that, on any other pair of the child. */
  | { readonly kind: "remove"; readonly spiIn: number }
  /** The peer's authenticated address changed (RFC 7296 §2.23). */
  | { readonly kind: "move"; readonly spiIn: number; readonly path: Path }
  /** Compute this and say `keyWorkDone`: it takes so long that it should not be done on this thread. */
  | { readonly kind: "key-work"; readonly id: number; readonly work: KeyWork }
  /** The result is not wanted any more. What comes of it all the same is wiped. */
  | { readonly kind: "forget-key-work"; readonly id: number }
  /** Resolve a domain name and say `resolved`, also when it has no address. */
  | { readonly kind: "resolve"; readonly connection: string; readonly host: string }
  | {
      readonly kind: "log";
      readonly level: LogLevel;
      /** Stable, kebab-case: safe to match on. */
      readonly event: string;
      readonly connection?: string;
      readonly message: string;
      readonly fields?: LogFields;
    };
