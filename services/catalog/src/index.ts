export type {
  AgentCatalog,
  ApplyOptions,
  CatalogPorts,
  CatalogService,
  CatalogServiceOptions,
  ExportedCatalog,
  ResourceChange,
} from "./catalog-ports.ts";
export { catalogMigrations, createCatalogService } from "./catalog-service.ts";
export type { FieldDifference } from "./field-difference.ts";
