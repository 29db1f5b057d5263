"""Changes of a table itself, through the catalog's own interface: SQL has no parameters for them."""

from collections.abc import Sequence
from typing import Any

from pyspark.sql import SparkSession

from intentrec.tables.evolution import Addition


def set_property(spark: SparkSession, key: str, value: str) -> object:
    """Return the change that sets a table property."""
    return _java(spark).org.apache.spark.sql.connector.catalog.TableChange.setProperty(key, value)


def remove_property(spark: SparkSession, key: str) -> object:
    """Return the change that takes a property away; one that is missing is no error."""
    return _java(spark).org.apache.spark.sql.connector.catalog.TableChange.removeProperty(key)


def add_column(spark: SparkSession, addition: Addition) -> object:
    """Return the change that adds a column or a nested field in its declared place; old rows hold null there."""
    java = _java(spark)
    change, field = java.org.apache.spark.sql.connector.catalog.TableChange, addition.field
    position = change.ColumnPosition
    return change.addColumn(
        _array(spark, java.java.lang.String, addition.path),
        java.org.apache.spark.sql.types.DataType.fromJson(field.dataType.json()),
        True,
        field.metadata.get("comment"),
        position.first() if addition.after is None else position.after(addition.after),
        None,  # no default: Spark has no form of this call without it
    )


def drop_check(spark: SparkSession, name: str) -> object:
    """Return the change that drops a CHECK constraint if it is there."""
    return _java(spark).org.apache.spark.sql.delta.constraints.DropConstraint(name, True)


def add_check(spark: SparkSession, name: str, condition: str) -> object:
    """Return the change that adds a CHECK constraint, which every row of the table must hold."""
    return _java(spark).org.apache.spark.sql.delta.constraints.AddConstraint(name, condition)


def alter_table(spark: SparkSession, place: tuple[str, str, str], changes: Sequence[object]) -> None:
    """Make the changes; those of one kind are one commit.

    Args:
        spark: with Delta.
        place: catalog, namespace (``delta`` for a folder), name or path.
        changes: made by the functions above.
    """
    catalog, namespace, name = place
    java = _java(spark)
    connector = java.org.apache.spark.sql.connector.catalog
    identifier = connector.Identifier.of(_array(spark, java.java.lang.String, [namespace]), name)
    state = spark._jsparkSession.sessionState()
    state.catalogManager().catalog(catalog).alterTable(identifier, _array(spark, connector.TableChange, changes))


def _java(spark: SparkSession) -> Any:
    java = spark.sparkContext._jvm
    assert java is not None
    return java


def _array(spark: SparkSession, kind: Any, elements: Sequence[object]) -> Any:
    gateway = spark.sparkContext._gateway
    assert gateway is not None
    array = gateway.new_array(kind, len(elements))
    for place, element in enumerate(elements):
        array[place] = element
    return array
