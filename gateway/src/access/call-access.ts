import { agentNotFound } from "@openhermit/caller";
import type { DescMethod } from "@bufbuild/protobuf";
import { createContextKey } from "@connectrpc/connect";
import { subjectName, type Decision, type Principal } from "@openhermit/access-service";
import type { Caller, Reach } from "@openhermit/caller";
import { permissionDenied, unauthenticated, type MeshError } from "@openhermit/errors";
import { AgentBinding } from "@openhermit/protocol/common/v1/access";

import type { AccessPolicy } from "./access-policy.ts";
import { methodName, type PrincipalRule } from "./access-rules.ts";
import { watchReach, type WatchedReach } from "./watched-reach.ts";

/** What one principal may do with one call. */
export interface CallAccess {
  /** The principal as the domains see it. */
  readonly caller: Extract<Caller, { kind: "principal" }>;
  /** What its handler was told of the agents in reach. */
  readonly reach: WatchedReach;
  /** Why the method is not for this principal, whatever the request says; undefined if it is. */
  methodError(): MeshError | undefined;
  /** Why the principal may not make this request; undefined if it may. Remembers what the request names. */
  requestError(request: object): MeshError | undefined;
  /** Why an open stream may not go on, as things are now; undefined if it may. */
  endError(): MeshError | undefined;
  /** The id that the request names; empty before it is known, and for none. */
  readonly targetId: string;
}

/** Where the gate puts it. */
export const callAccessKey = createContextKey<CallAccess | undefined>(undefined, { description: "access" });

/** How long a login counts as recent, ms. */
const RECENT_LOGIN_MS = 3_600_000;

/** Finds out what a principal may do with one call of a method. */
export function openCall(options: CallOptions): CallAccess {
  return new PrincipalCall(options);
}

interface CallOptions {
  policy: AccessPolicy;
  principal: Principal;
  rule: PrincipalRule;
  /** The method. */
  method: DescMethod;
}

// A class, since one is made for each call.
class PrincipalCall implements CallAccess {
  readonly caller: CallAccess["caller"];
  readonly reach: WatchedReach;
  readonly #options: CallOptions;
  readonly #decision: Decision;
  readonly #granted: boolean;
  #targetId = "";
  #asked = false;
  #listsReached = false;

  constructor(options: CallOptions) {
    const { policy, principal, rule } = options;
    this.#options = options;
    this.#decision = policy.decide(principal, rule.resource, rule.verb);
    this.#granted = this.#decision.granted;
    this.reach = watchReach(this.#decision.agents);
    this.caller = {
      kind: "principal",
      name: subjectName(principal.subject),
      agents: this.reach,
      mayOwnFor: (teamId) => teamId === "" || policy.mayOwnFor(principal, teamId),
    };
  }

  get targetId(): string {
    return this.#targetId;
  }

  methodError(): MeshError | undefined {
    return this.#granted ? this.#loginError() : this.#rightMissing();
  }

  requestError(request: object): MeshError | undefined {
    const { rule } = this.#options;
    this.#targetId = rule.selector?.(request) ?? "";
    this.#asked = true;
    const error = this.methodError() ?? this.#scopeError(this.#decision, this.reach);
    this.#listsReached =
      rule.agents === AgentBinding.LISTED && this.#targetId !== "" && this.#decision.agents.has(this.#targetId);
    return error;
  }

  endError(): MeshError | undefined {
    const { policy, principal, rule } = this.#options;
    if (!policy.isCurrent(principal)) {
      return unauthenticated("CREDENTIAL_INVALID", "the credential of this call is no longer valid", {
        hint: "log in again with `hermit login`, or use another token",
      });
    }
    const now = policy.decide(principal, rule.resource, rule.verb);
    const goesOn =
      now.granted &&
      (!this.#asked || this.#scopeError(now, now.agents) === undefined) &&
      (!this.#listsReached || now.agents.has(this.#targetId)) &&
      (rule.agents !== AgentBinding.LOOKED_UP || this.reach.holds());
    return goesOn ? undefined : this.#rightMissing();
  }

  #scopeError(decision: Decision, agents: Reach): MeshError | undefined {
    const { rule } = this.#options;
    const id = this.#targetId;
    if (rule.agents === AgentBinding.SELECTED) {
      return agents.has(id) ? undefined : this.#outOfReach();
    }
    // Of what belongs to agents the handler finds out to which; what has an id of its own must be in the scope too.
    if (rule.agents === AgentBinding.LOOKED_UP && rule.agentBound && id === "") {
      return undefined;
    }
    return decision.unnarrowed || (id !== "" && decision.covers(id)) ? undefined : this.#rightMissing();
  }

  // An agent that may not be seen is not told from one that does not exist.
  #outOfReach(): MeshError {
    const { policy, principal, rule } = this.#options;
    const isVisible =
      rule.verb === "write" &&
      policy.isAgent(this.#targetId) &&
      policy.decide(principal, rule.resource, "read").agents.has(this.#targetId);
    return isVisible ? this.#rightMissing() : agentNotFound(this.#targetId);
  }

  #rightMissing(): MeshError {
    const { rule, method } = this.#options;
    const right = `${rule.resource}:${rule.verb}`;
    const fields = { right, ...(this.#targetId === "" ? {} : { resource_id: this.#targetId }) };
    const text = `${methodName(method)} needs the right ${right}, which ${this.caller.name} lacks`;
    const hint = "`hermit whoami` says what you may do; an admin can change that";
    return permissionDenied("RIGHT_MISSING", text, { hint, fields });
  }

  #loginError(): MeshError | undefined {
    const { principal, rule, method } = this.#options;
    if (!rule.recentLogin || Date.now() - lastLogin(principal) <= RECENT_LOGIN_MS) {
      return undefined;
    }
    return permissionDenied("LOGIN_TOO_OLD", `${methodName(method)} needs a login within the last 60 minutes`, {
      hint: "log in again with `hermit login`",
    });
  }
}

// Whoever did not log in, the holder of the operator token and a program, always counts as there.
function lastLogin({ credential }: Principal): number {
  switch (credential.kind) {
    case "session":
      return credential.loginTime.getTime();
    case "token":
      return credential.login ? credential.createTime.getTime() : Infinity;
    case "operator-token":
      return Infinity;
  }
}
