import { invalidArgument } from "@openhermit/errors";

/** The least and the most characters of a password. */
const MIN_LENGTH = 12;
const MAX_LENGTH = 256;
/** Fewer different characters than this are a pattern, not a password: `aaaaaaaaaaaa`, `abcabcabcabc`. */
const MIN_DIFFERENT = 5;
/** How much must be left when the member's id is taken out. */
const MIN_BESIDE_ID = 6;
/** What is looked at of a text, in UTF-16 units: more can't be a password of 256 characters. */
const MAX_UNITS = 4 * MAX_LENGTH;

/**
 * The bytes of a password that are hashed: NFKC, so that every keyboard gives the same (NIST SP 800-63B, 3.1.1.2). Of an
 * overlong text only the beginning, which no member has as a password.
 */
export function passwordBytes(password: string): Buffer {
  return Buffer.from(password.slice(0, MAX_UNITS).normalize("NFKC"));
}

/** Refuses a password that is easily guessed. Errors: PASSWORD_WEAK. */
export function checkPassword(password: string, memberId: string): void {
  const fault = faultOf(password, memberId);
  if (fault === undefined) return;
  throw invalidArgument("PASSWORD_WEAK", `the password ${fault}`, {
    hint: "Use 12 to 256 characters; a few unrelated words make a good password.",
  });
}

function faultOf(password: string, memberId: string): string | undefined {
  if (password.length > MAX_UNITS) return `is longer than ${MAX_LENGTH} characters`;
  const characters = Array.from(password.normalize("NFKC"));
  if (characters.length < MIN_LENGTH) return `is shorter than ${MIN_LENGTH} characters`;
  if (characters.length > MAX_LENGTH) return `is longer than ${MAX_LENGTH} characters`;
  const lower = characters.join("").toLowerCase();
  if (new Set(lower).size < MIN_DIFFERENT) return "repeats the same few characters";
  if (lower.replaceAll(memberId, "").length < MIN_BESIDE_ID) return "is little more than the name to log in with";
  return undefined;
}
