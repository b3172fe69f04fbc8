import type { SubjectKind } from "@openhermit/protocol/access/v1/subject";

/** Somebody or something that acts or holds rights. */
export interface SubjectRef {
  readonly kind: SubjectKind;
  /** Empty for the local operator and for nobody. */
  readonly id: string;
}

/** One scope of a token: `agents:one:read`. */
export interface Scope {
  /** `*` for every resource. */
  readonly resource: string;
  /** What the scope is narrowed to; empty for everything of the resource. */
  readonly selector: string;
  readonly verb: "read" | "write";
}

/** What a principal came in with. */
export type Credential =
  | { readonly kind: "operator-token" }
  | {
      readonly kind: "session";
      /** The hash of the session's secret id, hex; never the secret. */
      readonly sessionId: string;
      readonly loginTime: Date;
      readonly expireTime: Date;
    }
  | {
      readonly kind: "token";
      readonly accessor: string;
      /** Empty for a login: all that its subject may do. */
      readonly scopes: readonly Scope[];
      /** Whether it came from `hermit login`. */
      readonly login: boolean;
      readonly createTime: Date;
      readonly expireTime: Date;
    };

/** A person or a program that has proved who it is. Its rights are not kept here: they are looked up at each call. */
export interface Principal {
  readonly subject: SubjectRef;
  /** Whose rights bound those of the subject: the maker of a token. The subject itself otherwise. */
  readonly creator: SubjectRef;
  readonly credential: Credential;
}

/** Who does something, as the audit trail keeps it. */
export interface Actor {
  readonly subject: SubjectRef;
  /** Undefined when the rights used are the subject's own. */
  readonly onBehalfOf: SubjectRef | undefined;
  /** Empty without a token. */
  readonly accessor: string;
  readonly requestId: string;
  /** The address the call came from; empty for a task of the gateway. */
  readonly address: string;
}
