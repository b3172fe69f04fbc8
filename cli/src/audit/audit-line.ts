import { AuditOutcome, type AuditRecord, type FieldChange } from "@openhermit/protocol/access/v1/audit_record";
import { subjectText } from "../access/subject-text.ts";
import { enumWord } from "../output/enum-word.ts";
import { plainLine } from "../output/plain-text.ts";
import type { Terminal } from "../output/terminal.ts";
import { clockText } from "../output/time-text.ts";

const ACTOR_WIDTH = 16;
const ACTION_WIDTH = 20;

/** One record as one line: time, who, what, to what, and what changed or why not. */
export function auditLine(terminal: Terminal, record: AuditRecord): string {
  const { time, action, outcome, address } = record;
  const denied = outcome !== AuditOutcome.DONE;
  // A denied attempt names its method: the service and its name tell it.
  const shownAction = plainLine(action.replace(/^openhermit\.(?:\w+\.)+/, ""), 120).padEnd(ACTION_WIDTH);
  return [
    terminal.paint("dim", clockText(time)),
    plainLine(actorText(record), 150).padEnd(ACTOR_WIDTH),
    denied ? terminal.paint("red", shownAction) : shownAction,
    targetText(record),
    denied ? terminal.paint("red", refusalText(record)) : "",
    changesText(record.changes),
    terminal.paint("dim", address === "" ? "" : `from ${plainLine(address, 64)}`),
  ]
    .filter((part) => part !== "")
    .join(" ")
    .trimEnd();
}

/** Who did it, and in whose name. */
function actorText({ actor, onBehalfOf }: AuditRecord): string {
  const who = subjectText(actor) || "unknown";
  return onBehalfOf ? `${who} for ${subjectText(onBehalfOf)}` : who;
}

/** What it was done to: `agent:one`; empty for nothing named. */
function targetText({ targetType, targetId }: AuditRecord): string {
  if (targetType === "") return plainLine(targetId, 255);
  return plainLine(targetId === "" ? targetType : `${targetType}:${targetId}`, 320);
}

function refusalText({ outcome, reason, count }: AuditRecord): string {
  const times = count > 1n ? `, ${count} times` : "";
  return plainLine(`${enumWord(AuditOutcome, outcome)}${reason === "" ? "" : ` ${reason}`}${times}`);
}

const changesText = (changes: readonly FieldChange[]): string =>
  plainLine(changes.map((change) => changeText(change)).join(", "), 500);

function changeText({ path, oldValue, newValue }: FieldChange): string {
  if (oldValue === "") return `${path}=${newValue}`;
  return newValue === "" ? `${path}: ${oldValue} removed` : `${path}: ${oldValue} → ${newValue}`;
}
