import { RESOURCES, type AccessService } from "@openhermit/access-service";

/** What the gate and the interceptors ask of the access domain. All of it is answered from memory. */
export interface AccessPolicy extends Pick<
  AccessService,
  "decide" | "mayOwnFor" | "isCurrent" | "onChanged" | "recordDenial"
> {
  /** The resources there are: which verbs each has, and whether its things belong to agents, so that agents in reach bound them. */
  readonly resources: ReadonlyMap<
    string,
    { readonly agentBound: boolean; readonly read?: unknown; readonly write?: unknown }
  >;
  /** Whether there is, or was and is remembered, such an agent. */
  isAgent(agentId: string): boolean;
}

/** Fills the policy with the functions of the domains. */
export function createAccessPolicy(services: {
  access: AccessService;
  fleet: { teamOfAgent(agentId: string): string | undefined };
}): AccessPolicy {
  const { access, fleet } = services;
  return {
    resources: RESOURCES,
    isAgent: (agentId) => fleet.teamOfAgent(agentId) !== undefined,
    decide: (principal, resource, verb) => access.decide(principal, resource, verb),
    mayOwnFor: (principal, teamId) => access.mayOwnFor(principal, teamId),
    isCurrent: (principal) => access.isCurrent(principal),
    onChanged: (callback) => access.onChanged(callback),
    recordDenial: (denial) => access.recordDenial(denial),
  };
}
