"""An answer in the form of a Pydantic model, which becomes the schema that the backend must follow."""

import os

from pydantic import BaseModel, ValidationError

from tidegate import completion

MODEL = os.environ.get("MODEL", "openai/gpt-4o-mini")


class Tide(BaseModel):
    harbour: str
    high_water: str
    height_m: float


messages = [{"role": "user", "content": "High water in Brest is at 06:12, 6.4 m above chart datum."}]
text = completion(MODEL, messages, response_format=Tide).choices[0].message.content or ""
try:
    print(Tide.model_validate_json(text))
except ValidationError:
    # A backend that knows no schemas answers as it likes.
    print(f"not in that form: {text}")
