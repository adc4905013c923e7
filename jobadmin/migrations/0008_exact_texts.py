from django.db import migrations


def exact(apps, schema_editor):
    """MySQL and MariaDB compare texts without regard to case and accents, and some take no emoji, unless a column says otherwise: two views
    of one person whose names differ in that alone would be one, and no job with such a name could be acted on. As with all others, texts
    are equal here where they are the same. Columns alone, and what later ones begin with: keys of another type are left as they are."""
    if schema_editor.connection.vendor != "mysql":
        return
    quote, how = schema_editor.quote_name, "CHARACTER SET utf8mb4 COLLATE utf8mb4_bin"
    for name in ("Operation", "SavedView"):
        model = apps.get_model("jobadmin", name)
        changes = [f"DEFAULT {how}"]
        for field in model._meta.local_concrete_fields:
            if field.get_internal_type() in ("CharField", "TextField"):
                default = " DEFAULT ''" if field.has_db_default() else ""
                kept = f"{'NULL' if field.null else 'NOT NULL'}{default}"
                changes.append(f"MODIFY {quote(field.column)} {field.db_type(schema_editor.connection)} {how} {kept}")
        schema_editor.execute(f"ALTER TABLE {quote(model._meta.db_table)} {', '.join(changes)}")


class Migration(migrations.Migration):

    #: MySQL keeps tables out of transactions; done a second time it changes nothing.
    atomic = False

    dependencies = [
        ('jobadmin', '0007_commands'),
    ]

    operations = [
        migrations.RunPython(exact, migrations.RunPython.noop),
    ]
