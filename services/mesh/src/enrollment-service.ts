import type { HandlerContext, ServiceImpl } from "@connectrpc/connect";
import { create } from "@bufbuild/protobuf";
import { durationFromMs, timestampFromDate } from "@bufbuild/protobuf/wkt";
import { reachOf, type Caller, type Reach, type RecordChanges } from "@openhermit/caller";
import {
  CreateJoinTokenResponseSchema,
  GetNonceResponseSchema,
  IssueTokenResponseSchema,
  JoinResponseSchema,
  type EnrollmentService,
  type KeyProof,
} from "@openhermit/protocol/mesh/v1/enrollment_service";
import type { Enrollment, Proof } from "./enrollment.ts";

const EMPTY = new Uint8Array();

// Validation has required the proof; an empty one is refused like any wrong one.
function proofOf(message: KeyProof | undefined): Proof {
  return message ?? { publicKey: EMPTY, nonce: "", signature: EMPTY };
}

/** The RPCs of EnrollmentService. */
export function createEnrollmentService(options: {
  enrollment: Enrollment;
  caller(context: HandlerContext): Caller;
  audit(context: HandlerContext): RecordChanges;
  auditOfSidecar(context: HandlerContext, sidecarId: string): RecordChanges;
  /** Throws a MeshError unless the agents are in reach and somebody else than the gateway starts their sidecars. */
  mayJoinExternally(agentIds: readonly string[], reach: Reach): Promise<void>;
}): ServiceImpl<typeof EnrollmentService> {
  const { enrollment } = options;
  return {
    async createJoinToken({ sidecarId, agentIds }, context) {
      const reach = reachOf(options.caller(context));
      await options.mayJoinExternally(agentIds, reach);
      const { joinToken, expireTime } = await enrollment.inviteSidecar(sidecarId, agentIds, {
        reach,
        record: options.audit(context),
      });
      return create(CreateJoinTokenResponseSchema, { joinToken, expireTime: timestampFromDate(expireTime) });
    },

    async getNonce() {
      return create(GetNonceResponseSchema, { nonce: await enrollment.makeNonce() });
    },

    async join(request, context) {
      const recordOf = (joined: string) => options.auditOfSidecar(context, joined);
      const { sidecarId, agentIds } = await enrollment.join(request.joinToken, proofOf(request.proof), recordOf);
      return create(JoinResponseSchema, { sidecarId, agentIds });
    },

    async issueToken(request) {
      const { accessToken, lifetimeMs } = await enrollment.issueToken(proofOf(request.proof));
      return create(IssueTokenResponseSchema, { accessToken, lifetime: durationFromMs(lifetimeMs) });
    },
  };
}
