// Tells what a test run came to, from vitest's JSON report: skipped tests with their reasons, tests that passed only when they
// were run again, then the line of counts.
// usage: node test-summary.mjs REPORT STATUS-OF-VITEST [FAILED-CHECK...]; exit status 0 when nothing failed
import { readFileSync } from "node:fs";
import { relative } from "node:path";

const [reportFile, status, ...failedChecks] = process.argv.slice(2);

const readReport = () => {
  try {
    return JSON.parse(readFileSync(reportFile, "utf8"));
  } catch {
    return undefined;
  }
};

const report = readReport();
const files = report?.testResults ?? [];
const tests = files.flatMap((file) =>
  file.assertionResults.map((test) => ({
    ...test,
    file: relative(process.cwd(), file.name),
    isOfFailedFile: file.status === "failed",
  })),
);
const passed = tests.filter((test) => test.status === "passed").length;
const failed = tests.filter((test) => test.status === "failed").length;
const skipped = tests.filter((test) => test.status !== "passed" && test.status !== "failed");
// A file that could not even be loaded, or whose hook failed, has no failed test of its own.
const brokenFiles = files.filter(
  (file) => file.status === "failed" && !file.assertionResults.some((test) => test.status === "failed"),
);

if (skipped.length > 0) {
  console.log("\nSkipped:");
  const byReason = new Map();
  for (const test of skipped) {
    const unsaid = test.isOfFailedFile ? "the setup of its suite failed" : "skipped in the source";
    const reason = test.meta?.skipped ?? unsaid;
    byReason.set(reason, [...(byReason.get(reason) ?? []), test]);
  }
  for (const [reason, group] of byReason) {
    console.log(`  because ${reason}`);
    for (const test of group) console.log(`    ${test.file}: ${test.fullName}`);
  }
}

const again = tests.filter((test) => test.status === "passed" && test.meta?.failedFirst !== undefined);
if (again.length > 0) {
  console.log("\nPassed when run again:");
  for (const test of again) console.log(`  ${test.file}: ${test.fullName}\n    first: ${test.meta.failedFirst}`);
}

const complaints = failedChecks.map((check) => `${check} failed`);
for (const file of brokenFiles)
  complaints.push(`${relative(process.cwd(), file.name)}: ${file.message.split("\n")[0] || "its setup failed"}`);
if (report === undefined) complaints.push("no report of the test runner");
else if (status !== "0" && failed === 0 && brokenFiles.length === 0)
  complaints.push(`the test runner ended with status ${status}`);
else if (tests.length === 0) complaints.push("no test was run");
if (complaints.length > 0) console.log(`\nFailed besides tests:\n${complaints.map((line) => `  ${line}`).join("\n")}`);

const failures = failed + complaints.length;
console.log(`\n${passed} passed, ${failures} failed, ${skipped.length} skipped`);
process.exit(failures === 0 ? 0 : 1);
