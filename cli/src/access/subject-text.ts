import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { InvalidArgumentError } from "commander";
import { SubjectKind, SubjectSchema, type Subject } from "@openhermit/protocol/access/v1/subject";
import { nearestWord } from "../nearest-word.ts";

const KINDS: ReadonlyMap<string, SubjectKind> = new Map([
  ["member", SubjectKind.MEMBER],
  ["service-account", SubjectKind.SERVICE_ACCOUNT],
  ["team", SubjectKind.TEAM],
  ["sidecar", SubjectKind.SIDECAR],
]);
const ACTORS: ReadonlyMap<string, SubjectKind> = new Map([
  ["local-operator", SubjectKind.LOCAL_OPERATOR],
  ["system", SubjectKind.SYSTEM],
  ["anonymous", SubjectKind.ANONYMOUS],
]);

/** The words for actors that have no id. */
export const actorWords: readonly string[] = [...ACTORS.keys()];

/** A subject as on the command line: `alice`, `service-account:ci`, `team:payments`, `local-operator`. */
export function subjectText(subject: MessageInitShape<typeof SubjectSchema> | undefined): string {
  const { kind = SubjectKind.UNSPECIFIED, id = "" } = subject ?? {};
  const actor = wordOf(ACTORS, kind);
  if (actor !== undefined) return id === "" ? actor : `${actor}:${id}`;
  if (kind === SubjectKind.UNSPECIFIED) return "";
  // A member may be called like an actor.
  if (kind === SubjectKind.MEMBER && !ACTORS.has(id)) return id;
  return `${wordOf(KINDS, kind) ?? `kind-${kind}`}:${id}`;
}

/** Reads who can hold rights: `alice`, `member:alice`, `service-account:ci`, `team:payments`. */
export function parseSubject(text: string): Subject {
  const subject = parse(text, "member");
  if (subject.kind === SubjectKind.SIDECAR) throw new InvalidArgumentError("A sidecar holds no rights.");
  return subject;
}

/** The same for who can be in a team. */
export function parseTeamMember(text: string): Subject {
  const subject = parseSubject(text);
  if (subject.kind === SubjectKind.TEAM) throw new InvalidArgumentError("A team can't be in a team.");
  return subject;
}

/** Reads who can stand in the audit trail: also `local-operator`, `system`, `anonymous`, `sidecar:one`; `*` as the id means all. */
export function parseActor(text: string): Subject {
  const kind = ACTORS.get(text);
  if (kind !== undefined) return create(SubjectSchema, { kind });
  const all = /^([a-z-]+):\*$/.exec(text)?.[1];
  if (all !== undefined) return create(SubjectSchema, { kind: kindOf(all) });
  return parse(text, "member");
}

function parse(text: string, otherwise: string): Subject {
  const colon = text.indexOf(":");
  const kind = kindOf(colon < 0 ? otherwise : text.slice(0, colon));
  const id = text.slice(colon + 1);
  if (!/^[a-z]([a-z0-9-]{0,61}[a-z0-9])?$/.test(id)) {
    throw new InvalidArgumentError(`"${id}" is no id: lower-case letters, digits, dashes, at most 63.`);
  }
  return create(SubjectSchema, { kind, id });
}

function kindOf(word: string): SubjectKind {
  const kind = KINDS.get(word);
  if (kind !== undefined) return kind;
  const meant = nearestWord(word, [...KINDS.keys()]);
  const help =
    meant === undefined ? "It is like alice, service-account:ci or team:payments." : `Did you mean ${meant}?`;
  throw new InvalidArgumentError(`"${word}" is no kind of subject. ${help}`);
}

const wordOf = (kinds: ReadonlyMap<string, SubjectKind>, kind: SubjectKind): string | undefined =>
  [...kinds].find((entry) => entry[1] === kind)?.[0];
