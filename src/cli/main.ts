#!/usr/bin/env node
/** The command `espalier`. */
import pc from "picocolors";
import { runCommand } from "./program.ts";
import type { Terminal } from "./terminal.ts";

const terminal: Terminal = {
  out: (text) => process.stdout.write(text),
  err: (text) => process.stderr.write(text),
  columns: process.stdout.columns,
  colour: process.stdout.isTTY === true && pc.isColorSupported,
  environment: process.env,
};

// `espalier status | head` closes the pipe early: that is no failure.
process.stdout.on("error", (error: NodeJS.ErrnoException) => process.exit(error.code === "EPIPE" ? 0 : 1));

process.exitCode = await runCommand(process.argv.slice(2), terminal);
