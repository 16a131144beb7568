/** Our structure offsets against the C compiler's. */
import { execFileSync, spawnSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, test } from "vitest";
import * as abi from "../../src/linux/abi.ts";

const hasCompiler = spawnSync("gcc", ["--version"]).status === 0;

/** C's name of each structure, and of each member that is called otherwise here. */
const STRUCTURES: Readonly<Record<string, readonly [type: string, members: Readonly<Record<string, string>>]>> = {
  IFREQ: ["struct ifreq", { name: "ifr_name", value: "ifr_flags" }],
  SOCKADDR: ["struct sockaddr", { family: "sa_family" }],
  SOCKADDR_IN: ["struct sockaddr_in", { family: "sin_family", port: "sin_port", address: "sin_addr" }],
  SOCKADDR_IN6: [
    "struct sockaddr_in6",
    {
      family: "sin6_family",
      port: "sin6_port",
      flowinfo: "sin6_flowinfo",
      address: "sin6_addr",
      scope: "sin6_scope_id",
    },
  ],
  SOCKADDR_NL: ["struct sockaddr_nl", { family: "nl_family", port: "nl_pid", groups: "nl_groups" }],
  IOVEC: ["struct iovec", { base: "iov_base", length: "iov_len" }],
  MSGHDR: [
    "struct msghdr",
    {
      name: "msg_name",
      nameLength: "msg_namelen",
      iov: "msg_iov",
      iovLength: "msg_iovlen",
      control: "msg_control",
      controlLength: "msg_controllen",
      flags: "msg_flags",
    },
  ],
  MMSGHDR: ["struct mmsghdr", { header: "msg_hdr", length: "msg_len" }],
  CMSGHDR: ["struct cmsghdr", { length: "cmsg_len", level: "cmsg_level", type: "cmsg_type" }],
  VIRTIO_NET_HDR: [
    "struct virtio_net_hdr",
    {
      flags: "flags",
      gsoType: "gso_type",
      headerLength: "hdr_len",
      gsoSize: "gso_size",
      checksumStart: "csum_start",
      checksumOffset: "csum_offset",
    },
  ],
  POLLFD: ["struct pollfd", { fd: "fd", events: "events", revents: "revents" }],
  TIMESPEC: ["struct timespec", { seconds: "tv_sec", nanoseconds: "tv_nsec" }],
  TIMEVAL: ["struct timeval", { seconds: "tv_sec", microseconds: "tv_usec" }],
  IO_URING_PARAMS: [
    "struct io_uring_params",
    { entries: "sq_entries", completions: "cq_entries", flags: "flags", submission: "sq_off", completion: "cq_off" },
  ],
  IO_SQRING_OFFSETS: [
    "struct io_sqring_offsets",
    { head: "head", tail: "tail", mask: "ring_mask", array: "array", reserved: "resv1" },
  ],
  IO_CQRING_OFFSETS: [
    "struct io_cqring_offsets",
    { head: "head", tail: "tail", mask: "ring_mask", cqes: "cqes", reserved: "resv1" },
  ],
  IO_URING_SQE: [
    "struct io_uring_sqe",
    { opcode: "opcode", fd: "fd", address: "addr", length: "len", rwFlags: "rw_flags", userData: "user_data" },
  ],
  IO_URING_CQE: ["struct io_uring_cqe", { userData: "user_data", result: "res" }],
  IO_URING_RSRC_UPDATE: ["struct io_uring_rsrc_update", { offset: "offset" }],
  SOCK_FILTER: ["struct sock_filter", { code: "code", jt: "jt", jf: "jf", k: "k" }],
  SOCK_FPROG: ["struct sock_fprog", { length: "len", filter: "filter" }],
  NLMSGHDR: [
    "struct nlmsghdr",
    { length: "nlmsg_len", type: "nlmsg_type", flags: "nlmsg_flags", sequence: "nlmsg_seq", port: "nlmsg_pid" },
  ],
  NLMSGERR: ["struct nlmsgerr", { error: "error", message: "msg" }],
  RTATTR: ["struct rtattr", { length: "rta_len", type: "rta_type" }],
  IFINFOMSG: [
    "struct ifinfomsg",
    { family: "ifi_family", type: "ifi_type", index: "ifi_index", flags: "ifi_flags", change: "ifi_change" },
  ],
  IFADDRMSG: [
    "struct ifaddrmsg",
    {
      family: "ifa_family",
      prefixLength: "ifa_prefixlen",
      flags: "ifa_flags",
      scope: "ifa_scope",
      index: "ifa_index",
    },
  ],
  RTMSG: [
    "struct rtmsg",
    {
      family: "rtm_family",
      destinationLength: "rtm_dst_len",
      sourceLength: "rtm_src_len",
      tos: "rtm_tos",
      table: "rtm_table",
      protocol: "rtm_protocol",
      scope: "rtm_scope",
      type: "rtm_type",
      flags: "rtm_flags",
    },
  ],
};

const INCLUDES = [
  "stdio.h",
  "stddef.h",
  "time.h",
  "poll.h",
  "sys/socket.h",
  "sys/time.h",
  "sys/uio.h",
  "netinet/in.h",
  "net/if.h",
  "linux/filter.h",
  "linux/io_uring.h",
  "linux/netlink.h",
  "linux/rtnetlink.h",
  "linux/virtio_net.h",
];

const ours: Readonly<Record<string, Readonly<Record<string, number>>>> = Object.fromEntries(
  Object.entries(abi).flatMap(([name, value]) => (typeof value === "object" ? [[name, value]] : [])),
);

test("every layout is known to this test", () => {
  expect(Object.keys(STRUCTURES).sort()).toEqual(Object.keys(ours).sort());
});

test("sizes and offsets are those of the C compiler", (ctx) => {
  if (!hasCompiler) ctx.skip("needs gcc");
  const reason = abi.abiUnavailable();
  if (reason !== undefined) ctx.skip(reason);
  const lines = Object.entries(ours).flatMap(([name, layout]) =>
    Object.keys(layout).map((member) => {
      const [type, members] = STRUCTURES[name]!;
      const value = member === "size" ? `sizeof(${type})` : `offsetof(${type}, ${members[member]})`;
      return `printf("${name}.${member} %zu\\n", ${value});`;
    }),
  );
  const folder = mkdtempSync(join(tmpdir(), "espalier-abi-"));
  try {
    const source = [
      "#define _GNU_SOURCE",
      ...INCLUDES.map((name) => `#include <${name}>`),
      `int main(void) { ${lines.join("\n")} return 0; }`,
    ];
    writeFileSync(join(folder, "abi.c"), source.join("\n"));
    execFileSync("gcc", ["-o", join(folder, "abi"), join(folder, "abi.c")], { stdio: "pipe" });
    const theirs = execFileSync(join(folder, "abi"), { encoding: "utf8" }).trim().split("\n").sort();
    const mine = Object.entries(ours).flatMap(([name, layout]) =>
      Object.entries(layout).map(([member, value]) => `${name}.${member} ${value}`),
    );
    expect(mine.sort()).toEqual(theirs);
  } finally {
    rmSync(folder, { recursive: true });
  }
});

test("machines with other layouts are refused with a reason", () => {
  expect(abi.abiUnavailable("linux", "x64", true)).toBeUndefined();
  expect(abi.abiUnavailable("linux", "arm64", true)).toBeUndefined();
  expect(abi.abiUnavailable("linux", "ia32", true)).toMatch(/ia32/);
  expect(abi.abiUnavailable("darwin", "arm64", true)).toMatch(/darwin/);
  expect(abi.abiUnavailable("linux", "arm64", false)).toMatch(/little-endian/);
});
