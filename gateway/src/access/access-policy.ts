import type { AccessService } from "@openhermit/access-service";

/** What the gate and the interceptors ask of the access domain. All of it is answered from memory. */
export interface AccessPolicy extends Pick<
  AccessService,
  "decide" | "mayOwnFor" | "isCurrent" | "onChanged" | "recordDenial"
> {
  /** The resources there are, and whether the things of each belong to agents, so that agents in reach bound them. */
  readonly resources: ReadonlyMap<string, { readonly agentBound: boolean }>;
  /** Whether there is, or was and is remembered, such an agent. */
  isAgent(agentId: string): boolean;
}
