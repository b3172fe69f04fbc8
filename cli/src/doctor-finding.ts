/** One thing the doctor looked at. */
export interface Finding {
  check: string;
  /** `skipped` when what it needs has failed before. */
  outcome: "ok" | "failed" | "skipped";
  detail: string;
  /** What to do; only of a failed check. */
  fix: string;
}

/** A check that went well. */
export const ok = (check: string, detail: string): Finding => ({ check, outcome: "ok", detail, fix: "" });

/** A check that failed, with what to do. */
export const failed = (check: string, detail: string, fix: string): Finding => ({
  check,
  outcome: "failed",
  detail,
  fix,
});

/** A check that needs another one which has failed. */
export const skipped = (check: string, detail: string): Finding => ({ check, outcome: "skipped", detail, fix: "" });
