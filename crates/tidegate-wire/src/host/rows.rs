//! The vendors, one row each, and what may stand in the place of parts of their URLs.
//!
//! Names are model prefixes as users of LiteLLM spell them; URLs and variables are of LiteLLM 1.109.1, pydantic-ai-slim and the
//! vendors' pages, and whether a close stops the bill is of WIRE facts, "Cancellation and what an abort costs", where it has the
//! vendor. `docs/hosts.md` is made of this table.

use super::{
    AbortBilling::{RunsOn, Stops},
    AuthScheme, BillingSource, Dialect, HostRow, Quirk, Services, Variables,
    parts::{CHAT, GOOGLE_CHARGES, MAX_TOKENS, OPENROUTER_LISTS, SERVER, keys},
};

/// Every host that Tidegate knows.
pub static HOSTS: &[HostRow] = &[
    HostRow {
        name: "openai",
        default_base_url: Some("https://api.openai.com/v1"),
        variables: keys(&["OPENAI_API_KEY"], &["OPENAI_BASE_URL", "OPENAI_API_BASE"]),
        abort_stops_billing: Stops,
        billing_source: OPENROUTER_LISTS,
        responses: Some("OpenAI's SDK 3.54"),
        quirks: &[Quirk::RefusesForeignFields, Quirk::BridgesToResponses],
        lacks_operations: &["rerank", "embed"],
        ..CHAT
    },
    HostRow {
        name: "azure",
        auth: AuthScheme::Azure,
        entra_scope: Some("https://cognitiveservices.azure.com/.default"),
        variables: Variables {
            token: &["AZURE_AD_TOKEN", "AZURE_OPENAI_AD_TOKEN"],
            api_version: &["AZURE_API_VERSION", "OPENAI_API_VERSION"],
            ..keys(&["AZURE_API_KEY", "AZURE_OPENAI_API_KEY"], &["AZURE_API_BASE", "AZURE_OPENAI_ENDPOINT"])
        },
        abort_stops_billing: Stops,
        billing_source: OPENROUTER_LISTS,
        responses: Some("Microsoft, API version lifecycle; recorded"),
        quirks: &[
            Quirk::RenamesMaxTokens,
            Quirk::DatesStreamOptions,
            Quirk::RefusesForeignFields,
            Quirk::BridgesToResponses,
        ],
        services: Services::Azure,
        ..CHAT
    },
    HostRow {
        name: "bedrock",
        dialect: Dialect::BedrockConverse,
        auth: AuthScheme::Aws { service: "bedrock" },
        default_base_url: Some("https://bedrock-runtime.{region}.{aws_domain}"),
        variables: Variables {
            region: &["AWS_REGION", "AWS_DEFAULT_REGION", "AWS_REGION_NAME"],
            ..keys(&["AWS_BEARER_TOKEN_BEDROCK"], &[])
        },
        abort_stops_billing: RunsOn,
        billing_source: BillingSource::Reported("BerriAI/litellm#34147, from AWS's usage report"),
        services: Services::Bedrock,
        quirks: &[Quirk::ServesClaude],
        ..CHAT
    },
    HostRow {
        name: "anthropic",
        dialect: Dialect::AnthropicMessages,
        auth: AuthScheme::Anthropic,
        default_base_url: Some("https://api.anthropic.com"),
        variables: Variables {
            token: &["ANTHROPIC_AUTH_TOKEN"],
            ..keys(&["ANTHROPIC_API_KEY"], &["ANTHROPIC_BASE_URL"])
        },
        abort_stops_billing: Stops,
        billing_source: OPENROUTER_LISTS,
        services: Services::None,
        ..CHAT
    },
    // Claude on Microsoft Foundry, at `https://NAME.services.ai.azure.com/anthropic`.
    HostRow {
        name: "azure-anthropic",
        dialect: Dialect::AnthropicMessages,
        auth: AuthScheme::Anthropic,
        entra_scope: Some("https://ai.azure.com/.default"),
        variables: keys(&["ANTHROPIC_FOUNDRY_API_KEY"], &["ANTHROPIC_FOUNDRY_BASE_URL"]),
        services: Services::None,
        ..CHAT
    },
    HostRow {
        name: "gemini",
        dialect: Dialect::Gemini,
        auth: AuthScheme::Google,
        default_base_url: Some("https://generativelanguage.googleapis.com/v1beta"),
        variables: keys(&["GEMINI_API_KEY", "GOOGLE_API_KEY"], &["GEMINI_API_BASE"]),
        abort_stops_billing: RunsOn,
        billing_source: GOOGLE_CHARGES,
        services: Services::Gemini,
        ..CHAT
    },
    HostRow {
        name: "vertex_ai",
        aliases: &["vertex"],
        dialect: Dialect::Gemini,
        auth: AuthScheme::Google,
        google_scope: Some("https://www.googleapis.com/auth/cloud-platform"),
        default_base_url: Some(
            "https://{vertex_domain}/v1beta1/projects/{account}/locations/{region}/publishers/google",
        ),
        variables: Variables {
            token: &["VERTEXAI_ACCESS_TOKEN"],
            region: &["VERTEXAI_LOCATION", "VERTEX_LOCATION", "GOOGLE_CLOUD_LOCATION"],
            account: &["VERTEXAI_PROJECT", "GOOGLE_CLOUD_PROJECT"],
            ..keys(&[], &["VERTEXAI_API_BASE"])
        },
        abort_stops_billing: RunsOn,
        billing_source: GOOGLE_CHARGES,
        services: Services::Vertex,
        quirks: &[Quirk::ServesClaude],
        ..CHAT
    },
    HostRow {
        name: "cohere",
        aliases: &["cohere_chat"],
        dialect: Dialect::CohereChat,
        default_base_url: Some("https://api.cohere.com"),
        variables: keys(&["CO_API_KEY", "COHERE_API_KEY"], &["CO_API_URL", "COHERE_API_BASE"]),
        abort_stops_billing: Stops,
        billing_source: OPENROUTER_LISTS,
        services: Services::Cohere,
        ..CHAT
    },
    HostRow {
        name: "jina_ai",
        default_base_url: Some("https://api.jina.ai/v1"),
        variables: keys(&["JINA_API_KEY", "JINA_AI_API_KEY"], &["JINA_AI_API_BASE"]),
        ..CHAT
    },
    HostRow {
        name: "mistral",
        default_base_url: Some("https://api.mistral.ai/v1"),
        variables: keys(&["MISTRAL_API_KEY"], &["MISTRAL_API_BASE"]),
        abort_stops_billing: RunsOn,
        billing_source: OPENROUTER_LISTS,
        renames: &[("seed", "random_seed"), ("max_completion_tokens", "max_tokens")],
        lacks: &["user", "logit_bias"],
        quirks: &[Quirk::ReportsUsageUnasked],
        ..CHAT
    },
    HostRow {
        name: "groq",
        default_base_url: Some("https://api.groq.com/openai/v1"),
        variables: keys(&["GROQ_API_KEY"], &["GROQ_API_BASE"]),
        abort_stops_billing: RunsOn,
        billing_source: OPENROUTER_LISTS,
        quirks: &[Quirk::ReportsUsageUnasked, Quirk::NamesReasoningShort],
        responses: Some("Groq's documentation, Responses API"),
        ..CHAT
    },
    HostRow {
        name: "deepseek",
        default_base_url: Some("https://api.deepseek.com"),
        variables: keys(&["DEEPSEEK_API_KEY"], &["DEEPSEEK_API_BASE"]),
        abort_stops_billing: Stops,
        billing_source: OPENROUTER_LISTS,
        quirks: &[Quirk::ReportsUsageUnasked],
        responses: Some("recorded"),
        ..CHAT
    },
    HostRow {
        name: "xai",
        default_base_url: Some("https://api.x.ai/v1"),
        variables: keys(&["XAI_API_KEY"], &["XAI_API_BASE"]),
        abort_stops_billing: Stops,
        billing_source: OPENROUTER_LISTS,
        renames: MAX_TOKENS,
        responses: Some("recorded"),
        ..CHAT
    },
    HostRow {
        name: "together_ai",
        aliases: &["together"],
        default_base_url: Some("https://api.together.ai/v1"),
        variables: keys(&["TOGETHER_API_KEY", "TOGETHERAI_API_KEY"], &["TOGETHER_AI_API_BASE"]),
        abort_stops_billing: Stops,
        billing_source: OPENROUTER_LISTS,
        ..CHAT
    },
    HostRow {
        name: "fireworks_ai",
        aliases: &["fireworks"],
        default_base_url: Some("https://api.fireworks.ai/inference/v1"),
        variables: keys(&["FIREWORKS_API_KEY", "FIREWORKS_AI_API_KEY"], &["FIREWORKS_API_BASE"]),
        abort_stops_billing: Stops,
        billing_source: OPENROUTER_LISTS,
        renames: MAX_TOKENS,
        ..CHAT
    },
    HostRow {
        name: "openrouter",
        default_base_url: Some("https://openrouter.ai/api/v1"),
        variables: keys(&["OPENROUTER_API_KEY", "OR_API_KEY"], &["OPENROUTER_API_BASE"]),
        billing_source: BillingSource::Documented(
            "OpenRouter, streaming: it depends on the provider behind it",
        ),
        quirks: &[Quirk::ReportsUsageUnasked, Quirk::NamesReasoningShort],
        responses: Some("recorded"),
        ..CHAT
    },
    HostRow {
        name: "perplexity",
        default_base_url: Some("https://api.perplexity.ai"),
        variables: keys(&["PERPLEXITY_API_KEY", "PERPLEXITYAI_API_KEY"], &["PERPLEXITY_API_BASE"]),
        abort_stops_billing: RunsOn,
        billing_source: OPENROUTER_LISTS,
        quirks: &[Quirk::ReportsUsageUnasked, Quirk::EndsWithoutDone],
        ..CHAT
    },
    HostRow {
        name: "cerebras",
        default_base_url: Some("https://api.cerebras.ai/v1"),
        variables: keys(&["CEREBRAS_API_KEY"], &["CEREBRAS_API_BASE"]),
        ..CHAT
    },
    HostRow {
        name: "sambanova",
        default_base_url: Some("https://api.sambanova.ai/v1"),
        variables: keys(&["SAMBANOVA_API_KEY"], &["SAMBANOVA_API_BASE"]),
        renames: MAX_TOKENS,
        ..CHAT
    },
    HostRow {
        name: "nvidia_nim",
        default_base_url: Some("https://integrate.api.nvidia.com/v1"),
        variables: keys(&["NVIDIA_NIM_API_KEY"], &["NVIDIA_NIM_API_BASE"]),
        renames: MAX_TOKENS,
        ..CHAT
    },
    HostRow {
        name: "databricks",
        variables: keys(&["DATABRICKS_API_KEY"], &["DATABRICKS_API_BASE"]),
        renames: MAX_TOKENS,
        ..CHAT
    },
    HostRow {
        name: "github",
        default_base_url: Some("https://models.github.ai/inference"),
        variables: keys(&["GITHUB_API_KEY"], &["GITHUB_API_BASE"]),
        ..CHAT
    },
    HostRow {
        name: "huggingface",
        default_base_url: Some("https://router.huggingface.co/v1"),
        variables: keys(&["HF_TOKEN", "HUGGINGFACE_API_KEY"], &["HF_API_BASE", "HUGGINGFACE_API_BASE"]),
        abort_stops_billing: RunsOn,
        billing_source: OPENROUTER_LISTS,
        ..CHAT
    },
    HostRow {
        name: "ollama",
        aliases: &["ollama_chat"],
        dialect: Dialect::Ollama,
        default_base_url: Some("http://localhost:11434"),
        variables: keys(&["OLLAMA_API_KEY"], &["OLLAMA_API_BASE", "OLLAMA_BASE_URL"]),
        abort_stops_billing: Stops,
        billing_source: CLOSING_CANCELS,
        quirks: &[Quirk::OwnServer],
        services: Services::OpenAiBelowV1,
        ..CHAT
    },
    HostRow {
        name: "ollama_cloud",
        dialect: Dialect::Ollama,
        default_base_url: Some("https://ollama.com"),
        variables: keys(&["OLLAMA_API_KEY"], &[]),
        services: Services::OpenAiBelowV1,
        ..CHAT
    },
    HostRow {
        name: "hosted_vllm",
        aliases: &["vllm"],
        variables: keys(&["HOSTED_VLLM_API_KEY", "VLLM_API_KEY"], &["HOSTED_VLLM_API_BASE", "VLLM_API_BASE"]),
        abort_stops_billing: Stops,
        billing_source: BillingSource::Reported(
            "a maintainer in vllm-project/vllm#32442; #54947 saw otherwise",
        ),
        quirks: &[Quirk::OwnServer, Quirk::NamesReasoningShort],
        responses: Some("vLLM's documentation 0.32, online serving"),
        ..SERVER
    },
    HostRow {
        name: "llama_cpp",
        aliases: &["llama.cpp", "llamacpp"],
        default_base_url: Some("http://localhost:8080/v1"),
        variables: keys(&["LLAMA_CPP_API_KEY"], &["LLAMA_CPP_API_BASE"]),
        abort_stops_billing: Stops,
        billing_source: CLOSING_CANCELS,
        ..SERVER
    },
    HostRow {
        name: "llamafile",
        default_base_url: Some("http://127.0.0.1:8080/v1"),
        variables: keys(&["LLAMAFILE_API_KEY"], &["LLAMAFILE_API_BASE"]),
        ..SERVER
    },
    HostRow {
        name: "lm_studio",
        variables: keys(&["LM_STUDIO_API_KEY"], &["LM_STUDIO_API_BASE"]),
        responses: Some("LM Studio's documentation, Responses"),
        ..SERVER
    },
    HostRow { name: "tgi", variables: keys(&["TGI_API_KEY"], &["TGI_API_BASE"]), ..SERVER },
    HostRow { name: "sglang", variables: keys(&["SGLANG_API_KEY"], &["SGLANG_API_BASE"]), ..SERVER },
    HostRow {
        name: "gpustack",
        variables: keys(&["GPUSTACK_API_KEY"], &["GPUSTACK_API_BASE"]),
        quirks: &[Quirk::OwnServer, Quirk::EndsWithoutDone],
        ..SERVER
    },
    HostRow {
        name: "mlx",
        variables: keys(&["MLX_API_KEY"], &["MLX_API_BASE"]),
        quirks: &[Quirk::OwnServer, Quirk::NamesReasoningShort],
        ..SERVER
    },
    HostRow {
        name: "litellm_proxy",
        variables: keys(&["LITELLM_PROXY_API_KEY"], &["LITELLM_PROXY_API_BASE"]),
        ..SERVER
    },
    HostRow {
        name: "lemonade",
        default_base_url: Some("http://localhost:8000/api/v1"),
        variables: keys(&["LEMONADE_API_KEY"], &["LEMONADE_API_BASE"]),
        ..SERVER
    },
    HostRow {
        name: "moonshot",
        default_base_url: Some("https://api.moonshot.ai/v1"),
        variables: keys(&["MOONSHOT_API_KEY"], &["MOONSHOT_API_BASE"]),
        renames: MAX_TOKENS,
        ..CHAT
    },
    HostRow {
        name: "zai",
        default_base_url: Some("https://api.z.ai/api/paas/v4"),
        variables: keys(&["ZAI_API_KEY"], &["ZAI_API_BASE"]),
        ..CHAT
    },
    HostRow {
        name: "dashscope",
        aliases: &["qwen"],
        default_base_url: Some("https://dashscope-intl.aliyuncs.com/compatible-mode/v1"),
        variables: keys(&["DASHSCOPE_API_KEY"], &["DASHSCOPE_API_BASE"]),
        ..CHAT
    },
    HostRow {
        name: "minimax",
        default_base_url: Some("https://api.minimax.io/v1"),
        variables: keys(&["MINIMAX_API_KEY"], &["MINIMAX_API_BASE"]),
        ..CHAT
    },
    HostRow {
        name: "volcengine",
        default_base_url: Some("https://ark.cn-beijing.volces.com/api/v3"),
        variables: keys(&["VOLCENGINE_API_KEY", "ARK_API_KEY"], &["VOLCENGINE_API_BASE", "ARK_API_BASE"]),
        renames: MAX_TOKENS,
        ..CHAT
    },
    HostRow {
        name: "deepinfra",
        default_base_url: Some("https://api.deepinfra.com/v1/openai"),
        variables: keys(&["DEEPINFRA_API_KEY"], &["DEEPINFRA_API_BASE"]),
        abort_stops_billing: Stops,
        billing_source: OPENROUTER_LISTS,
        renames: MAX_TOKENS,
        ..CHAT
    },
    HostRow {
        name: "nebius",
        default_base_url: Some("https://api.studio.nebius.ai/v1"),
        variables: keys(&["NEBIUS_API_KEY"], &["NEBIUS_API_BASE"]),
        renames: MAX_TOKENS,
        ..CHAT
    },
    HostRow {
        name: "hyperbolic",
        default_base_url: Some("https://api.hyperbolic.xyz/v1"),
        variables: keys(&["HYPERBOLIC_API_KEY"], &["HYPERBOLIC_API_BASE"]),
        ..CHAT
    },
    HostRow {
        name: "novita",
        default_base_url: Some("https://api.novita.ai/v3/openai"),
        variables: keys(&["NOVITA_API_KEY"], &["NOVITA_API_BASE"]),
        ..CHAT
    },
    HostRow {
        name: "baseten",
        default_base_url: Some("https://inference.baseten.co/v1"),
        variables: keys(&["BASETEN_API_KEY"], &["BASETEN_API_BASE"]),
        renames: MAX_TOKENS,
        ..CHAT
    },
    HostRow {
        name: "lambda_ai",
        aliases: &["lambda"],
        default_base_url: Some("https://api.lambda.ai/v1"),
        variables: keys(&["LAMBDA_API_KEY"], &["LAMBDA_API_BASE"]),
        ..CHAT
    },
    HostRow {
        name: "friendliai",
        aliases: &["friendli"],
        default_base_url: Some("https://api.friendli.ai/serverless/v1"),
        variables: keys(&["FRIENDLIAI_API_KEY", "FRIENDLI_TOKEN"], &["FRIENDLI_API_BASE"]),
        ..CHAT
    },
    HostRow {
        name: "featherless_ai",
        aliases: &["featherless"],
        default_base_url: Some("https://api.featherless.ai/v1"),
        variables: keys(
            &["FEATHERLESS_AI_API_KEY", "FEATHERLESS_API_KEY"],
            &["FEATHERLESS_AI_API_BASE", "FEATHERLESS_API_BASE"],
        ),
        renames: MAX_TOKENS,
        ..CHAT
    },
    HostRow {
        name: "siliconflow",
        default_base_url: Some("https://api.siliconflow.com/v1"),
        variables: keys(&["SILICONFLOW_API_KEY"], &["SILICONFLOW_API_BASE"]),
        ..CHAT
    },
    HostRow {
        name: "cloudflare",
        default_base_url: Some("https://api.cloudflare.com/client/v4/accounts/{account}/ai/v1"),
        variables: Variables {
            account: &["CLOUDFLARE_ACCOUNT_ID"],
            ..keys(&["CLOUDFLARE_API_KEY"], &["CLOUDFLARE_API_BASE"])
        },
        ..CHAT
    },
    HostRow {
        name: "snowflake",
        default_base_url: Some("https://{account}.snowflakecomputing.com/api/v2/cortex/v1"),
        variables: Variables {
            account: &["SNOWFLAKE_ACCOUNT_ID"],
            ..keys(&["SNOWFLAKE_JWT"], &["SNOWFLAKE_API_BASE"])
        },
        ..CHAT
    },
    HostRow {
        name: "nscale",
        default_base_url: Some("https://inference.api.nscale.com/v1"),
        variables: keys(&["NSCALE_API_KEY"], &["NSCALE_API_BASE"]),
        ..CHAT
    },
    HostRow {
        name: "ovhcloud",
        default_base_url: Some("https://oai.endpoints.kepler.ai.cloud.ovh.net/v1"),
        variables: keys(&["OVHCLOUD_API_KEY"], &["OVHCLOUD_API_BASE"]),
        ..CHAT
    },
    HostRow {
        name: "scaleway",
        default_base_url: Some("https://api.scaleway.ai/v1"),
        variables: keys(&["SCW_SECRET_KEY"], &["SCALEWAY_API_BASE"]),
        ..CHAT
    },
    HostRow {
        name: "vercel_ai_gateway",
        default_base_url: Some("https://ai-gateway.vercel.sh/v1"),
        variables: keys(&["VERCEL_AI_GATEWAY_API_KEY"], &["VERCEL_AI_GATEWAY_API_BASE"]),
        ..CHAT
    },
    HostRow {
        name: "v0",
        default_base_url: Some("https://api.v0.dev/v1"),
        variables: keys(&["V0_API_KEY"], &["V0_API_BASE"]),
        ..CHAT
    },
    HostRow {
        name: "morph",
        default_base_url: Some("https://api.morphllm.com/v1"),
        variables: keys(&["MORPH_API_KEY"], &["MORPH_API_BASE"]),
        ..CHAT
    },
    HostRow {
        name: "inception",
        default_base_url: Some("https://api.inceptionlabs.ai/v1"),
        variables: keys(&["INCEPTION_API_KEY"], &["INCEPTION_API_BASE"]),
        ..CHAT
    },
    HostRow {
        name: "wandb",
        default_base_url: Some("https://api.inference.wandb.ai/v1"),
        variables: keys(&["WANDB_API_KEY"], &["WANDB_API_BASE"]),
        renames: MAX_TOKENS,
        ..CHAT
    },
    HostRow {
        name: "meta_llama",
        default_base_url: Some("https://api.llama.com/compat/v1"),
        variables: keys(&["LLAMA_API_KEY"], &["LLAMA_API_BASE"]),
        ..CHAT
    },
    HostRow {
        name: "amazon_nova",
        default_base_url: Some("https://api.nova.amazon.com/v1"),
        variables: keys(&["AMAZON_NOVA_API_KEY"], &["AMAZON_NOVA_API_BASE"]),
        ..CHAT
    },
    HostRow {
        name: "chutes",
        default_base_url: Some("https://llm.chutes.ai/v1"),
        variables: keys(&["CHUTES_API_KEY"], &["CHUTES_API_BASE"]),
        renames: MAX_TOKENS,
        ..CHAT
    },
    HostRow {
        name: "crusoe",
        default_base_url: Some("https://api.inference.crusoecloud.com/v1"),
        variables: keys(&["CRUSOE_API_KEY"], &["CRUSOE_API_BASE"]),
        renames: MAX_TOKENS,
        ..CHAT
    },
];

/// The host of this name, or with this among its aliases.
pub fn row(name: &str) -> Option<&'static HostRow> {
    HOSTS.iter().find(|row| row.name == name || row.aliases.contains(&name))
}

const CLOSING_CANCELS: BillingSource =
    BillingSource::Reported("several users: closing the connection cancels");
