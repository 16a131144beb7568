/** The kinds of values that a configuration is made of. */
import { addressText, canonicalAddress, parsePrefix, prefixRange } from "../ip-address.ts";
import { type DscpPolicy, MAX_DSCP } from "../ipsec/dscp.ts";
import type { TfcPadding } from "../ipsec/tfc.ts";
import { formatDuration, parseDuration } from "./duration.ts";
import { leaf } from "./leaf.ts";
import { parsePsk } from "./psk.ts";

export const whole = (about: string, least: number, most: number) =>
  leaf({
    expected: `a whole number from ${least} to ${most}`,
    about,
    read: (value) =>
      typeof value === "number" && Number.isInteger(value) && value >= least && value <= most ? value : undefined,
  });

export const number = (about: string, least: number, most: number) =>
  leaf({
    expected: `a number from ${least} to ${most}`,
    about,
    read: (value) => (typeof value === "number" ? within(value, least, most) : undefined),
  });

export const oneOf = <const T extends string>(about: string, words: readonly T[]) =>
  leaf({
    expected: `one of ${words.join(", ")}`,
    about,
    read: (value) => words.find((word) => word === value),
  });

/** `yes` and `no` are text to YAML 1.2, but a reader may well write true and false. */
export const yesNoEither = (about: string) =>
  leaf({
    expected: "one of yes, no, either",
    about,
    read: (value) => {
      if (value === true) return "yes";
      if (value === false) return "no";
      return (["yes", "no", "either"] as const).find((word) => word === value);
    },
  });

export const yesNo = (about: string) =>
  leaf<boolean>({
    expected: "yes or no",
    about,
    read: (value) => {
      if (value === true || value === "yes") return true;
      return value === false || value === "no" ? false : undefined;
    },
  });

export const yesNoForce = (about: string) =>
  leaf({
    expected: "one of yes, no, force",
    about,
    read: (value) => {
      if (value === true) return "yes";
      if (value === false) return "no";
      return (["yes", "no", "force"] as const).find((word) => word === value);
    },
  });

/** Undefined inside for `auto`. */
export const autoOrWhole = (about: string, least: number, most: number) =>
  leaf<{ readonly octets: number | undefined }>({
    expected: `auto or a whole number from ${least} to ${most}`,
    about,
    read: (value) => {
      if (value === "auto") return { octets: undefined };
      const isIt = typeof value === "number" && Number.isInteger(value) && value >= least && value <= most;
      return isIt ? { octets: value } : undefined;
    },
  });

/** Milliseconds. */
export const duration = (about: string, least: number, most: number) =>
  leaf({
    expected: `a duration from ${formatDuration(least)} to ${formatDuration(most)} such as 30s, 1h, 500ms`,
    about,
    read: (value) => within(parseDuration(value), least, most),
  });

/** Milliseconds, or undefined inside for `off`. */
export const durationOrOff = (about: string, least: number, most: number) =>
  leaf<{ readonly every: number | undefined }>({
    expected: `off or a duration from ${formatDuration(least)} to ${formatDuration(most)} such as 30s`,
    about,
    read: (value) => {
      if (value === "off" || value === false) return { every: undefined };
      const every = within(parseDuration(value), least, most);
      return every === undefined ? undefined : { every };
    },
  });

const UNITS: Readonly<Record<string, number>> = { "": 1, k: 1e3, m: 1e6, g: 1e9, t: 1e12 };

/** A whole number that may be long, or undefined inside for `off`. */
export const countOrOff = (about: string, least: number) =>
  leaf<{ readonly count: number | undefined }>({
    expected: `off or a whole number of at least ${least} such as 4608000000, 500m, 4g`,
    about,
    read: (value) => {
      if (value === "off" || value === false) return { count: undefined };
      const [, digits, unit = ""] = /^(\d{1,16})([kmgt]?)$/.exec(String(value)) ?? [];
      const count = within(Number(digits) * (UNITS[unit] ?? 1), least, Number.MAX_SAFE_INTEGER);
      return count === undefined ? undefined : { count };
    },
  });

/** Milliseconds, or undefined inside for `auto`. */
export const autoOrDuration = (about: string, least: number, most: number) =>
  leaf<{ readonly time: number | undefined }>({
    expected: `auto or a duration from ${formatDuration(least)} to ${formatDuration(most)}`,
    about,
    read: (value) => {
      if (value === "auto") return { time: undefined };
      const time = within(parseDuration(value), least, most);
      return time === undefined ? undefined : { time };
    },
  });

const within = (value: number | undefined, least: number, most: number): number | undefined =>
  value !== undefined && value >= least && value <= most ? value : undefined;

export const ANY = "any";

export const address = (about: string) =>
  leaf({
    expected: "an IPv4 or IPv6 address",
    about,
    read: (value) => (typeof value === "string" ? canonicalAddress(value) : undefined),
  });

/** A name of two labels or more; what looks like an address is not one. */
const DOMAIN_NAME =
  /^(?=.{1,253}$)(?!.*\.\d+$)([a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?\.)+[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$/i;

const readHost = (value: unknown): string | undefined => {
  if (typeof value !== "string") return undefined;
  return canonicalAddress(value) ?? (DOMAIN_NAME.test(value) ? value.toLowerCase() : undefined);
};

export const host = (about: string) =>
  leaf({ expected: "an IPv4 or IPv6 address or a domain name", about, read: readHost });

export const hostOrAny = (about: string) =>
  leaf({
    expected: "an IPv4 or IPv6 address, a domain name or any",
    about,
    read: (value) => (value === ANY || value === "%any" ? ANY : readHost(value)),
  });

/** An address of an interface: host bits matter. */
export const interfaceAddress = (about: string) =>
  leaf({
    expected: "an address with a prefix length such as 10.255.0.1/30",
    about,
    read: (value) => {
      const prefix = typeof value === "string" ? parsePrefix(value) : undefined;
      return prefix === undefined ? undefined : `${prefix.address}/${prefix.length}`;
    },
  });

/** A prefix without host bits. */
export const route = (about: string) =>
  leaf({
    expected: "a prefix without host bits such as 10.2.0.0/24",
    about,
    read: (value) => {
      const prefix = typeof value === "string" ? parsePrefix(value) : undefined;
      if (prefix === undefined) return undefined;
      const first = addressText(prefixRange(prefix).first);
      return first === prefix.address ? `${first}/${prefix.length}` : undefined;
    },
  });

/** Names of the kernel: at most 15 octets, no slash or blank, not `.` or `..`. */
export const interfaceName = (about: string) =>
  leaf({
    expected: "an interface name of 1 to 15 letters, digits, dots, dashes or underscores",
    about,
    read: (value) => {
      if (typeof value !== "string" || !/^[A-Za-z0-9_.-]{1,15}$/.test(value)) return undefined;
      return value === "." || value === ".." ? undefined : value;
    },
  });

/** CPU numbers; empty for `none`. */
export const cpus = (about: string) =>
  leaf<readonly number[]>({
    expected: "none or a list of CPU numbers such as [0, 1]",
    about,
    read: (value) => {
      if (value === "none") return [];
      const list: readonly unknown[] = Array.isArray(value) ? value : [value];
      const numbers = list.filter((cpu): cpu is number => typeof cpu === "number" && Number.isInteger(cpu) && cpu >= 0);
      return numbers.length > 0 && numbers.length === list.length ? numbers : undefined;
    },
  });

export const autoOr = (about: string, least: number, most: number) =>
  leaf<number | "auto">({
    expected: `auto or a whole number from ${least} to ${most}`,
    about,
    read: (value) => {
      if (value === "auto") return value;
      return typeof value === "number" && Number.isInteger(value) ? within(value, least, most) : undefined;
    },
  });

export const mtu = (about: string) => autoOr(about, 576, 65535);

export const mss = (about: string) =>
  leaf<number | "auto" | "off">({
    expected: "auto, off or a whole number from 88 to 65495",
    about,
    read: (value) => {
      if (value === "auto") return value;
      if (value === "off" || value === false) return "off";
      return typeof value === "number" && Number.isInteger(value) ? within(value, 88, 65495) : undefined;
    },
  });

/** 0 inside for `off`. */
export const offOrWhole = (about: string, least: number, most: number) =>
  leaf<number>({
    expected: `off or a whole number from ${least} to ${most}`,
    about,
    read: (value) => {
      if (value === "off" || value === false) return 0;
      return typeof value === "number" && Number.isInteger(value) ? within(value, least, most) : undefined;
    },
  });

/** How packets are padded. */
export const tfc = (about: string) =>
  leaf<TfcPadding>({
    expected: "none, mtu or a whole number from 2 to 9472",
    about,
    read: (value) => {
      if (value === "none" || value === false) return { kind: "none" };
      if (value === "mtu") return { kind: "full" };
      const octets = typeof value === "number" && Number.isInteger(value) ? within(value, 2, 9472) : undefined;
      return octets === undefined ? undefined : { kind: "multiple", octets };
    },
  });

/** A DSCP, or how the outer one follows from the inner one. */
export const dscp = (about: string) =>
  leaf<DscpPolicy>({
    expected: `copy, a DSCP from 0 to ${MAX_DSCP}, or a map from inner to outer ones`,
    about,
    read: (value) => {
      if (value === "copy") return { kind: "copy" };
      if (isDscp(value)) return { kind: "set", dscp: value };
      if (typeof value !== "object" || value === null || Array.isArray(value)) return undefined;
      const pairs = Object.entries(value);
      const map: Record<number, number> = {};
      for (const [inner, outer] of pairs) {
        if (!/^\d+$/.test(inner) || !isDscp(Number(inner)) || !isDscp(outer)) return undefined;
        map[Number(inner)] = outer;
      }
      return pairs.length > 0 ? { kind: "map", map } : undefined;
    },
  });

const isDscp = (value: unknown): value is number =>
  typeof value === "number" && Number.isInteger(value) && value >= 0 && value <= MAX_DSCP;

export const text = (expected: string, about: string) =>
  leaf({ expected, about, read: (value) => (typeof value === "string" && value.length > 0 ? value : undefined) });

/** Text that `parse` understands; it is kept as it was written, and parsed again where it is used. */
export const parsed = (expected: string, about: string, parse: (text: string) => unknown) =>
  leaf({
    expected,
    about,
    read: (value) => (typeof value === "string" && parse(value) !== undefined ? value : undefined),
  });

export const psk = (about: string) =>
  leaf({
    expected: "a key: text, 0x and hex digits, or 0s and base64",
    about,
    secret: true,
    read: (value) => (typeof value === "string" ? parsePsk(value) : undefined),
  });

export const hexKey = (about: string) =>
  leaf({
    expected: "a key: 0x and hex digits",
    about,
    secret: true,
    read: (value) => (typeof value === "string" && /^0x/i.test(value) ? parsePsk(value) : undefined),
  });

/** Octets that a path of a Unix socket may have: sun_path less its final zero. */
const SOCKET_PATH = 107;

export const socketPath = (about: string) =>
  leaf({
    expected: `a path of at most ${SOCKET_PATH} octets`,
    about,
    read: (value) =>
      typeof value === "string" && value.length > 0 && Buffer.byteLength(value) <= SOCKET_PATH ? value : undefined,
  });
