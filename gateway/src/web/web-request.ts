import type { Actor, Attempt, Principal } from "@openhermit/access-service";
import { SubjectKind } from "@openhermit/protocol/access/v1/subject";
import type { FastifyRequest } from "fastify";

const MAX_USER_AGENT = 256;

/** The address of the socket: nothing that a header says. */
export function addressOf(request: FastifyRequest): string {
  return request.raw.socket.remoteAddress ?? "";
}

/** The headers of a request. */
export function headersOf(request: FastifyRequest): Headers {
  const headers = new Headers();
  for (const [name, value] of Object.entries(request.headers)) {
    // Pseudo headers of HTTP/2 are none of ours.
    if (value !== undefined && !name.startsWith(":"))
      headers.set(name, Array.isArray(value) ? value.join(", ") : value);
  }
  return headers;
}

/** Where an attempt to come in is made from. */
export function attemptOf(request: FastifyRequest): Attempt {
  return {
    address: addressOf(request),
    userAgent: (request.headers["user-agent"] ?? "").slice(0, MAX_USER_AGENT),
    requestId: request.id,
  };
}

/** Who sends a request, as the audit trail keeps it. */
export function requestActor(request: FastifyRequest, principal: Principal | undefined): Actor {
  const requestId = request.id;
  const address = addressOf(request);
  if (principal === undefined) {
    const subject = { kind: SubjectKind.ANONYMOUS, id: "" };
    return { subject, onBehalfOf: undefined, accessor: "", requestId, address };
  }
  const { subject, creator, credential } = principal;
  const own = creator.kind === subject.kind && creator.id === subject.id;
  const accessor = credential.kind === "token" ? credential.accessor : "";
  return { subject, onBehalfOf: own ? undefined : creator, accessor, requestId, address };
}

/** A parameter of the URL; empty when it is missing or there are several. */
export function urlParameter(request: FastifyRequest, name: string): string {
  return textOf(request.query, name);
}

/** A field of a form; empty when it is missing or there are several. */
export function sentField(request: FastifyRequest, name: string): string {
  return textOf(request.body, name);
}

function textOf(values: unknown, name: string): string {
  if (typeof values !== "object" || values === null || !Object.hasOwn(values, name)) {
    return "";
  }
  const value = (values as Record<string, unknown>)[name];
  return typeof value === "string" ? value : "";
}
