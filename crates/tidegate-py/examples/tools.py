"""Lets a model call a function of this program, and gives it the answer."""

import json
import os

from tidegate import completion

MODEL = os.environ.get("MODEL", "openai/gpt-4o-mini")
TOOL = {
    "type": "function",
    "function": {
        "name": "high_water",
        "description": "The next high water at a harbour",
        "parameters": {
            "type": "object",
            "properties": {"harbour": {"type": "string"}},
            "required": ["harbour"],
        },
    },
}


def high_water(arguments: str) -> str:
    # As the model wrote them: they may be no JSON at all.
    try:
        harbour = json.loads(arguments).get("harbour")
    except ValueError:
        return "error: the arguments are no JSON"
    return "06:12" if harbour == "Brest" else "14:40"


messages = [{"role": "user", "content": "When is high water in Hamburg and in Brest?"}]
# A bound: a model may go on calling.
for _ in range(5):
    message = completion(MODEL, messages, tools=[TOOL]).choices[0].message
    if not message.tool_calls:
        print(message.content)
        break
    messages.append(message)
    for call in message.tool_calls:
        print(f"{call.function.name}({call.function.arguments})")
        answer = high_water(call.function.arguments)
        messages.append({"role": "tool", "tool_call_id": call.id, "content": answer})
