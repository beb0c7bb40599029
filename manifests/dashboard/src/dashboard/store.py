"""The devices in DynamoDB."""

import functools
import os
from collections.abc import Iterator
from typing import Any

import boto3


class UnknownAlarmError(LookupError):
    """There is no such device, or it has no such alarm."""


class Store:
    """The table of devices: one item each, with the alarms as a list in it."""

    def __init__(self, table: Any) -> None:
        self.table = table

    def all(self, site: str | None = None) -> Iterator[dict[str, Any]]:
        """Yields the items of a site, or of all."""
        arguments: dict[str, Any] = {}
        if site is not None:
            arguments = {
                "FilterExpression": "#site = :site",
                "ExpressionAttributeNames": {"#site": "site"},
                "ExpressionAttributeValues": {":site": site},
            }
        while True:
            page = self.table.scan(**arguments)
            yield from page["Items"]
            if "LastEvaluatedKey" not in page:
                return
            arguments["ExclusiveStartKey"] = page["LastEvaluatedKey"]

    def get(self, device: str) -> dict[str, Any] | None:
        """Returns the item of a device."""
        return self.table.get_item(Key={"id": device}).get("Item")

    def acknowledge(self, device: str, alarm: str, by: str) -> dict[str, Any]:
        """Marks an alarm as seen and returns the device's new item.

        Raises:
            UnknownAlarmError: If it is not there.
        """
        item = self.get(device)
        positions = [n for n, entry in enumerate((item or {}).get("alarms", [])) if entry["id"] == alarm]
        if not positions:
            raise UnknownAlarmError(alarm)
        place = f"alarms[{positions[0]}]"
        # The condition guards against an alarm that was removed since, which would move the others up.
        reply = self.table.update_item(
            Key={"id": device},
            UpdateExpression=f"SET {place}.acknowledged_by = :by",
            ConditionExpression=f"{place}.id = :alarm",
            ExpressionAttributeValues={":by": by, ":alarm": alarm},
            ReturnValues="ALL_NEW",
        )
        return reply["Attributes"]


@functools.cache
def store() -> Store:
    """Returns the store of this environment, made on first use."""
    return Store(boto3.resource("dynamodb").Table(os.environ["DEVICES_TABLE"]))
