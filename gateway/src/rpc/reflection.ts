import { toBinary, type DescFile, type DescMessage, type DescService } from "@bufbuild/protobuf";
import { FileDescriptorProtoSchema } from "@bufbuild/protobuf/wkt";
import { Code, type ConnectRouter } from "@connectrpc/connect";
import { ServerReflection } from "@openhermit/protocol/grpc/reflection";
import { ServerReflection as ServerReflectionV1Alpha } from "@openhermit/protocol/grpc/reflection-v1alpha";

// The request of v1 and of v1alpha: the same but for its name.
type Question =
  | { case: "fileByFilename" | "fileContainingSymbol" | "allExtensionNumbersOfType" | "listServices"; value: string }
  | { case: "fileContainingExtension"; value: { containingType: string; extensionNumber: number } }
  | { case: undefined; value?: undefined };

/**
 * Serves grpc.reflection.v1 and v1alpha over the services of the router, so that `buf curl` and grpcurl work without
 * our proto files. Call it after every other service is registered.
 */
export function registerReflection(router: ConnectRouter): void {
  const served = new Set<DescService>(router.handlers.map((handler) => handler.service));
  served.add(ServerReflection).add(ServerReflectionV1Alpha);
  const index = indexFiles([...served].map((service) => service.file));
  const services = [...served].map((service) => ({ name: service.typeName })).toSorted(byName);

  async function* answer<Request extends { host: string; messageRequest: Question }>(requests: AsyncIterable<Request>) {
    const sent = new Set<DescFile>();
    for await (const request of requests) {
      yield {
        validHost: request.host,
        originalRequest: { host: request.host, messageRequest: plain(request.messageRequest) },
        messageResponse: respond(request.messageRequest, sent),
      };
    }
  }

  function respond(question: Question, sent: Set<DescFile>) {
    switch (question.case) {
      case "listServices":
        return { case: "listServicesResponse" as const, value: { service: services } };
      case "fileByFilename":
        return filesResponse(index.byName.get(question.value), sent, question.value);
      case "fileContainingSymbol":
        return filesResponse(index.bySymbol.get(question.value), sent, question.value);
      case "fileContainingExtension": {
        const { containingType, extensionNumber } = question.value;
        const file = index.extensions.get(containingType)?.get(extensionNumber);
        return filesResponse(file, sent, `extension ${extensionNumber} of ${containingType}`);
      }
      case "allExtensionNumbersOfType": {
        const known = index.extensions.get(question.value);
        if (known === undefined && !index.bySymbol.has(question.value)) {
          return notFound(question.value);
        }
        const value = { baseTypeName: question.value, extensionNumber: [...(known?.keys() ?? [])] };
        return { case: "allExtensionNumbersResponse" as const, value };
      }
      case undefined:
        return {
          case: "errorResponse" as const,
          value: { errorCode: Code.InvalidArgument, errorMessage: "the request asks for nothing" },
        };
    }
  }

  router.service(ServerReflection, { serverReflectionInfo: (requests) => answer(requests) });
  router.service(ServerReflectionV1Alpha, { serverReflectionInfo: (requests) => answer(requests) });
}

interface FileIndex {
  byName: Map<string, DescFile>;
  bySymbol: Map<string, DescFile>;
  /** The files of the extensions, by extended message and number. */
  extensions: Map<string, Map<number, DescFile>>;
}

function indexFiles(roots: readonly DescFile[]): FileIndex {
  const index: FileIndex = { byName: new Map(), bySymbol: new Map(), extensions: new Map() };
  for (const file of withDependencies(roots, new Set())) {
    index.byName.set(file.proto.name, file);
    const add = (name: string) => index.bySymbol.set(name, file);
    const addMessage = (message: DescMessage) => {
      add(message.typeName);
      for (const member of [...message.fields, ...message.oneofs]) {
        add(`${message.typeName}.${member.name}`);
      }
      message.nestedEnums.forEach(addEnum);
      message.nestedExtensions.forEach(addExtension);
      message.nestedMessages.forEach(addMessage);
    };
    const addEnum = (one: DescFile["enums"][number]) => {
      add(one.typeName);
      // The values of an enum are siblings of it.
      const scope = one.typeName.slice(0, one.typeName.lastIndexOf(".") + 1);
      one.values.forEach((value) => add(scope + value.name));
    };
    const addExtension = (extension: DescFile["extensions"][number]) => {
      add(extension.typeName);
      const { typeName } = extension.extendee;
      const numbers = index.extensions.get(typeName) ?? new Map<number, DescFile>();
      index.extensions.set(typeName, numbers.set(extension.number, file));
    };
    file.messages.forEach(addMessage);
    file.enums.forEach(addEnum);
    file.extensions.forEach(addExtension);
    for (const service of file.services) {
      add(service.typeName);
      service.methods.forEach((method) => add(`${service.typeName}.${method.name}`));
    }
  }
  return index;
}

function withDependencies(roots: readonly DescFile[], seen: Set<DescFile>): DescFile[] {
  const files: DescFile[] = [];
  for (const file of roots) {
    if (!seen.has(file)) {
      seen.add(file);
      files.push(file, ...withDependencies(file.dependencies, seen));
    }
  }
  return files;
}

// The file that was asked for first, then what it imports and this stream has not seen yet.
function filesResponse(file: DescFile | undefined, sent: Set<DescFile>, asked: string) {
  if (file === undefined) {
    return notFound(asked);
  }
  sent.delete(file);
  const files = withDependencies([file], sent);
  return {
    case: "fileDescriptorResponse" as const,
    value: { fileDescriptorProto: files.map(({ proto }) => toBinary(FileDescriptorProtoSchema, proto)) },
  };
}

function plain(question: Question): Question {
  if (question.case !== "fileContainingExtension") {
    return question;
  }
  const { containingType, extensionNumber } = question.value;
  return { case: question.case, value: { containingType, extensionNumber } };
}

function notFound(name: string) {
  return {
    case: "errorResponse" as const,
    value: { errorCode: Code.NotFound, errorMessage: `${name} is not known here` },
  };
}

function byName(a: { name: string }, b: { name: string }): number {
  return a.name < b.name ? -1 : 1;
}
