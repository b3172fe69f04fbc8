import { create, createFileRegistry, fromBinary, type DescMethod } from "@bufbuild/protobuf";
import { FileDescriptorProtoSchema, FileDescriptorSetSchema, type FileDescriptorProto } from "@bufbuild/protobuf/wkt";
import { createClient, type Transport } from "@connectrpc/connect";
import { ServerReflection } from "@openhermit/protocol/grpc/reflection";

/** The methods that a running gateway says it serves, by reflection. */
export async function servedMethods(operator: Transport): Promise<DescMethod[]> {
  const ask = async function* (...questions: { case: "listServices" | "fileContainingSymbol"; value: string }[]) {
    for (const messageRequest of questions) {
      yield { messageRequest };
    }
  };
  const reflection = createClient(ServerReflection, operator);
  const names: string[] = [];
  for await (const { messageResponse } of reflection.serverReflectionInfo(ask({ case: "listServices", value: "" }))) {
    if (messageResponse.case === "listServicesResponse") {
      names.push(...messageResponse.value.service.map(({ name }) => name));
    }
  }
  const files = new Map<string, FileDescriptorProto>();
  const questions = names.map((value) => ({ case: "fileContainingSymbol" as const, value }));
  for await (const { messageResponse } of reflection.serverReflectionInfo(ask(...questions))) {
    if (messageResponse.case === "fileDescriptorResponse") {
      for (const bytes of messageResponse.value.fileDescriptorProto) {
        const file = fromBinary(FileDescriptorProtoSchema, bytes);
        files.set(file.name, file);
      }
    }
  }
  const ordered = new Set<FileDescriptorProto>();
  const add = (name: string) => {
    const file = files.get(name);
    if (file !== undefined && !ordered.has(file)) {
      file.dependency.forEach(add);
      ordered.add(file);
    }
  };
  [...files.keys()].forEach(add);
  const registry = createFileRegistry(create(FileDescriptorSetSchema, { file: [...ordered] }));
  return names.flatMap((name) => registry.getService(name)?.methods ?? []);
}
