/** What an interop test needs of the machine. What is missing is said aloud, by name: the test is skipped, never passed. */
import { closeSync, existsSync, openSync, readdirSync } from "node:fs";
import { delimiter, join } from "node:path";
import { run } from "./run.ts";

export const ROOT = join(import.meta.dirname, "../../..");
export const MAIN = join(ROOT, "dist/cli/main.js");
export const LIBRARY = join(ROOT, "dist/index.js");

/** Where `scripts/setup` unpacks Debian's libreswan, which cannot be installed beside strongSwan. */
export const LIBRESWAN = "/usr/local/lib/espalier/libreswan";

/** Where Debian's user-mode-linux keeps the modules of its kernel. */
export const UML_MODULES = "/usr/lib/uml/modules";

const STRONGSWAN_PLUGINS = "/usr/lib/ipsec/plugins";
const PYTHON = "/usr/bin/python3";

const { PATH = "" } = process.env;

const hasBinary = (name: string): boolean =>
  PATH.split(delimiter)
    .concat("/usr/sbin", "/sbin")
    .some((directory) => existsSync(join(directory, name)));

const binary = (name: string, debianPackage: string) => (): string | undefined =>
  hasBinary(name) ? undefined : `${name} is not installed (Debian: ${debianPackage})`;

const plugin = (name: string, debianPackage: string) => (): string | undefined =>
  existsSync(`${STRONGSWAN_PLUGINS}/libstrongswan-${name}.so`)
    ? undefined
    : `strongSwan's plugin ${name} is not installed (Debian: ${debianPackage})`;

const first = (...checks: readonly (() => string | undefined)[]): string | undefined => {
  for (const check of checks) {
    const complaint = check();
    if (complaint !== undefined) return complaint;
  }
  return undefined;
};

const tun = (): string | undefined => {
  try {
    closeSync(openSync("/dev/net/tun", "r+"));
    return undefined;
  } catch (error) {
    return `/dev/net/tun cannot be opened: ${(error as Error).message}`;
  }
};

const namespaces = (): string | undefined => {
  if (process.getuid?.() !== 0) return "it needs root";
  const complaint = first(binary("ip", "iproute2"), binary("nsenter", "util-linux"), binary("fping", "fping"));
  if (complaint !== undefined) return complaint;
  return run(["unshare", "-mn", "true"], { mayFail: true }).status === 0
    ? undefined
    : "network namespaces cannot be made (CAP_SYS_ADMIN is missing)";
};

const REQUIREMENTS = {
  build: () => (existsSync(MAIN) && existsSync(LIBRARY) ? undefined : "dist is not built: npm run build"),
  library: () => (existsSync(LIBRARY) ? undefined : "dist is not built: npm run build"),
  namespaces,
  tun,
  transfer: binary("socat", "socat"),
  nstat: binary("nstat", "iproute2"),
  iperf: binary("iperf3", "iperf3"),
  ethtool: binary("ethtool", "ethtool"),
  capture: binary("tcpdump", "tcpdump"),
  nat: binary("nft", "nftables"),
  strongswan: () =>
    first(
      binary("charon-systemd", "charon-systemd"),
      binary("swanctl", "strongswan-swanctl"),
      plugin("kernel-libipsec", "libcharon-extra-plugins"),
      plugin("chapoly", "libstrongswan-extra-plugins"),
      plugin("openssl", "libstrongswan-standard-plugins"),
    ),
  uml: () =>
    first(
      binary("linux.uml", "user-mode-linux"),
      binary("modprobe", "kmod"),
      binary("charon-systemd", "charon-systemd"),
      binary("swanctl", "strongswan-swanctl"),
      () =>
        existsSync(UML_MODULES) && readdirSync(UML_MODULES).length > 0
          ? undefined
          : `${UML_MODULES} is empty (Debian: user-mode-linux)`,
    ),
  libreswan: () =>
    first(binary("linux.uml", "user-mode-linux"), binary("certutil", "libnss3-tools"), () =>
      existsSync(join(LIBRESWAN, "usr/libexec/ipsec/pluto"))
        ? undefined
        : `${LIBRESWAN} does not hold Debian's libreswan: scripts/setup test unpacks it there`,
    ),
  scapy: () => {
    if (!existsSync(PYTHON)) return "python3 is not installed (Debian: python3-scapy)";
    return run([PYTHON, "-c", "import scapy, cryptography"], { mayFail: true }).status === 0
      ? undefined
      : "scapy is not installed (Debian: python3-scapy, python3-cryptography)";
  },
} as const;

export type Requirement = keyof typeof REQUIREMENTS;

/** The first thing that is missing, in words, or undefined when nothing is. */
export const missing = (...requirements: readonly Requirement[]): string | undefined =>
  first(...requirements.map((requirement) => REQUIREMENTS[requirement]));
