#!/usr/bin/env python3
"""Prints how many mistakes the libraries of the standards' makers find in documents: strict.py FORM=FILE..., of the forms 1.5,
1.6, 1.7, spdx and spdx-3.0; a number for each.

What they find is said on standard error. Runs in the environment of `run.py`.
"""

import pathlib
import sys


def main():
    for argument in sys.argv[1:]:
        mistakes = judge(*argument.split("=", 1))
        for mistake in mistakes[:20]:
            print(str(mistake)[:300], file=sys.stderr)
        print(len(mistakes))


def judge(form, path):
    """The mistakes in a document."""
    if form == "spdx":
        from spdx_tools.spdx.parser.error import SPDXParsingError
        from spdx_tools.spdx.parser.parse_anything import parse_file
        from spdx_tools.spdx.validation.document_validator import validate_full_spdx_document

        try:
            mistakes = [one.validation_message for one in validate_full_spdx_document(parse_file(path))]
        except SPDXParsingError as error:
            mistakes = error.get_messages()
    elif form == "spdx-3.0":
        import io
        import json

        import spdx_python_model

        mistakes = []
        try:
            # Writing holds every property against the model.
            model, found = spdx_python_model.load_data(json.loads(pathlib.Path(path).read_text()))
            model.JSONLDSerializer().write(found, io.BytesIO())
            own = "https://spdx.org/rdf/3.0.1/terms/"
            mistakes += [f"nothing is called {one}" for one in found.missing_ids if not one.startswith(own)]
        except (KeyError, TypeError, ValueError, spdx_python_model.LoadError) as error:
            mistakes.append(error)
    else:
        from cyclonedx.schema import SchemaVersion
        from cyclonedx.validation.json import JsonStrictValidator

        version = SchemaVersion.from_version(form)
        mistake = JsonStrictValidator(version).validate_str(pathlib.Path(path).read_text())
        mistakes = [] if mistake is None else [mistake]
    return mistakes


if __name__ == "__main__":
    main()
