from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('jobadmin', '0003_controls'),
    ]

    operations = [
        migrations.AddField(
            model_name='operation',
            name='promise',
            field=models.CharField(blank=True, editable=False, max_length=32, null=True, unique=True, verbose_name='promise'),
        ),
    ]
